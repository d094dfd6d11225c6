/** Defects that real voice agents have had, as patches of our sources. Each text to find occurs exactly once. */

export interface Patch {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Defect {
  readonly name: string;
  readonly patches: readonly Patch[];
}

const SESSION = 'src/pipeline/session/session.ts';
const PLAYER = 'src/pipeline/session/reply-player.ts';
const INTERRUPTION = 'src/pipeline/session/interruption.ts';
const LISTENING = 'src/pipeline/session/listening.ts';
const REPLY = 'src/pipeline/session/reply.ts';
const CALLER = 'src/pipeline/session/caller.ts';
const BARGE_IN = 'src/pipeline/session/turn-taking/barge-in.ts';
const PROMPT = 'src/pipeline/session/prompt.ts';
const HISTORY = 'src/pipeline/session/history.ts';
const GUESSING = 'src/pipeline/session/turn-taking/speculation.ts';
const TTS_ROUTE = 'src/pipeline/router/tts-route.ts';
const PROGRESS = 'src/pipeline/router/speech-progress.ts';
const PLAYOUT = 'src/media/playout.ts';

const defect = (name: string, ...patches: (readonly [file: string, find: string, replace: string])[]): Defect => ({
  name,
  patches: patches.map(([file, find, replace]) => ({ file, find, replace })),
});

export const DEFECTS: readonly Defect[] = [
  defect('the model is not aborted when its reply is cut', [
    SESSION,
    `      this.#llm.stream.abort();
      this.#llm = undefined;`,
    `      this.#llm = undefined;`,
  ]),
  defect('the synthesiser is not told that a reply is cut', [
    SESSION,
    `if (playing) this.#tts?.cancel(String(generation));`,
    ``,
  ]),
  defect(
    'late audio of a cut reply is accepted',
    [
      SESSION,
      `if (this.#player.generation !== generation || this.#player.push(generation,`,
      `if (this.#player.push(this.#player.generation ?? 0,`,
    ],
    [
      TTS_ROUTE,
      `    if (utterance?.id !== part.utteranceId) return;`,
      `    if (utterance?.id !== part.utteranceId) {
      if (part.type === 'audio-chunk') this.#sink(part);
      return;
    }`,
    ],
  ),
  defect('marks echoed by a clear count as played', [
    PLAYOUT,
    `    generation.heardBytes = this.#heardBytes(generation, nowMs);
    generation.held = true;`,
    `    generation.heardBytes = generation.nextByte;
    generation.held = true;`,
  ]),
  defect('no clear when the agent is silenced', [
    PLAYER,
    `    if (this.#playout.isAudible(nowMs)) this.#port.sendClear();
    this.#playout.hold(nowMs);`,
    `    this.#playout.hold(nowMs);`,
  ]),
  defect('no clear when a reply is cut', [
    PLAYER,
    `    if (this.#playout.isAudible(nowMs)) this.#port.sendClear();
    return this.#playout.clear(nowMs);`,
    `    return this.#playout.clear(nowMs);`,
  ]),
  defect('a false alarm is judged, and nothing resumes', [
    INTERRUPTION,
    `  actions.push({ type: 'resume-reply', generation: phase.reply.generation });\n`,
    ``,
  ]),
  defect('a resumed reply sends nothing more', [
    PLAYOUT,
    `    generation.fromStreamByte = this.#sentBytes;
    generation.held = false;`,
    `    generation.fromStreamByte = this.#sentBytes;`,
  ]),
  defect('a reply is resumed from what was sent', [
    PLAYOUT,
    `moveTo(generation, cutRun?.startByte ?? heardBytes);`,
    `moveTo(generation, generation.nextByte);`,
  ]),
  defect('a reply is resumed from its start', [
    PLAYOUT,
    `moveTo(generation, cutRun?.startByte ?? heardBytes);`,
    `moveTo(generation, 0);`,
  ]),
  defect('a reply is resumed in the middle of a word', [
    PLAYOUT,
    `moveTo(generation, cutRun?.startByte ?? heardBytes);`,
    `moveTo(generation, heardBytes);`,
  ]),
  defect(
    'a silenced agent waits for ever',
    [INTERRUPTION, `  if (verdict.type === 'wait') return state;`, `  if (verdict.type !== 'barge-in') return state;`],
    [
      INTERRUPTION,
      `  return [verdict.type === 'wait' ? verdict.untilMs : nowMs];`,
      `  return verdict.type === 'wait' ? [] : [];`,
    ],
  ),
  defect('a tool is run on a guess', [
    LISTENING,
    `      return withReply({ ...reply, toolCalls: [...reply.toolCalls, event.call] });`,
    `      actions.push({ type: 'emit', event: { type: 'tool-called', name: event.call.name } });
      return withReply({ ...reply, toolCalls: [...reply.toolCalls, event.call] });`,
  ]),
  defect('the audio of a guess is not held', [
    SESSION,
    `this.#player.begin(action.generation, action.held);`,
    `this.#player.begin(action.generation);`,
  ]),
  defect('a tool call in the history has no result', [
    PROMPT,
    `toolCalls: tools.map(({ call }) => call) }, ...results];`,
    `toolCalls: tools.map(({ call }) => call) }, ...results.slice(1)];`,
  ]),
  defect('guesses without number', [GUESSING, `state.guesses < maxTries && `, ``]),
  defect('guesses whatever they cost', [GUESSING, ` && state.wastedTokens < wastedTokenBudget`, ``]),
  defect('the history keeps the full text instead of what was heard', [
    HISTORY,
    `recordAgent(recorded.state, cut, heardText, heard.heardMs, true, actions)`,
    `recordAgent(recorded.state, cut, heardText === '' ? '' : fullText(cut), heard.heardMs, true, actions)`,
  ]),
  defect('a guess is written to the history', [
    REPLY,
    `  return { ...state, speculation: undefined, wastedTokens: state.wastedTokens + reply.tokens };`,
    `  const text = reply.clauses.map(({ original }) => original).join('');
  const history = [...state.history, { role: 'agent', text, heardText: text, tools: [] } as const];
  return { ...state, history, speculation: undefined, wastedTokens: state.wastedTokens + reply.tokens };`,
  ]),
  defect('the transcripts of a withdrawn turn are lost', [
    INTERRUPTION,
    `      finals: [reply.callerText, ...turn.finals],\n`,
    ``,
  ]),
  defect(
    'the turn deadline is ignored',
    [REPLY, `  if (isOverdue(current, nowMs)) {`, `  if (nowMs < 0) {`],
    [
      REPLY,
      `return [reply.deadlineAtMs, fillerDueMs(reply, state)].filter(`,
      `return [fillerDueMs(reply, state)].filter(`,
    ],
  ),
  defect(
    'nobody reminds a silent caller',
    [LISTENING, `  if (remindMs === undefined || nowMs < remindMs) return state;`, `  return state;`],
    [LISTENING, `const quiet = [reminderDueMs(state), warningDueMs(state)];`, `const quiet = [warningDueMs(state)];`],
  ),
  defect('a timer is left at the end', [
    SESSION,
    `    this.#wakeTimer?.cancel();
    this.#player.close();`,
    `    this.#wakeTimer?.cancel();`,
  ]),
  defect('the recogniser is left open at the end', [SESSION, `    this.#stt?.close();\n`, ``]),
  defect('the pacer sends all it has', [PLAYOUT, `this.#leadAt(nowMs) + FRAME_MS <= this.#leadMs`, `this.#leadMs > 0`]),
  defect('the agent hangs up before its goodbye was heard', [
    PLAYOUT,
    `        generation.finished && !generation.held && this.#pendingBytes === 0 && heardBytes >= generation.pushedBytes,`,
    `        generation.finished && !generation.held && this.#pendingBytes === 0,`,
  ]),
  defect('a barge-in throws away what the caller has said', [
    INTERRUPTION,
    `    ...silent,
    phase: { type: 'listening' },
    falseAlarms: 0,`,
    `    ...silent,
    turn: emptyTurn(state.modelDecides),
    phase: { type: 'listening' },
    falseAlarms: 0,`,
  ]),
  defect('a pressed key is lost', [CALLER, `: [...turn.finals, digit];`, `: turn.finals;`]),
  defect('words are taken for a false alarm', [
    BARGE_IN,
    `>= bargeInMinWords && !isEcho(text, overlap);`,
    `>= 4 && !isEcho(text, overlap);`,
  ]),
  defect('a confirmed guess is not let go', [
    REPLY,
    `  actions.push({ type: 'resume-reply', generation: reply.generation });\n`,
    ``,
  ]),
  defect('a late final is taken for a new turn', [
    CALLER,
    `  if (state.countedInterim === '') return { state, text: isLate(state, text) ? '' : text };`,
    `  if (state.turn.voice.type === 'silent') return { state, text };`,
  ]),
  defect('what a lost recogniser had guessed is forgotten', [CALLER, `      lostGuess: rest.text,\n`, ``]),
  defect('what was told before the next recogniser begins is forgotten', [
    CALLER,
    `      finals: told === '' ? turn.finals : [...turn.finals, told],\n`,
    ``,
  ]),
  defect('the agent is never interrupted', [
    INTERRUPTION,
    `  if (phase.type !== 'speaking' || turn.voice.type !== 'speaking') return { ...known, heard };`,
    `  return { ...known, heard };`,
  ]),
  defect('the next voice says again what was said', [
    PROGRESS,
    `    let position = this.#position;`,
    `    let position = this.#position * 0;`,
  ]),
  defect('the next voice leaves out the rest of the clause', [
    PROGRESS,
    `      rest.push(text === piece.text ? piece : { text, options: undefined });`,
    `      if (text === piece.text) rest.push(piece);`,
  ]),
  defect('a yes to the end of a reply is taken for a go-on', [
    INTERRUPTION,
    `  return reply.afterwards.type !== 'listen' || isAnswer(heard, reply.clauses);`,
    `  return reply.afterwards.type !== 'listen' || (isAnswer(heard, reply.clauses) && false);`,
  ]),
  defect('words too few to take the floor are forgotten', [
    INTERRUPTION,
    `turn.voice.type === 'speaking' : turnText(turn) !== '' && cause !== 'backchannel';`,
    `turn.voice.type === 'speaking' : false;`,
  ]),
  defect('a text that must be spoken to its end is cut', [
    INTERRUPTION,
    `  return isProtected(clauses, heard, agent.turnTaking.neverInterrupt);`,
    `  return isProtected(clauses, heard, agent.turnTaking.neverInterrupt.slice(1));`,
  ]),
];
