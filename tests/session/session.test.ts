import { describe, expect, it } from 'vitest';
import { MS_PER_CHARACTER, ScriptedCall } from '../support/scripted-call.ts';
import type { ScriptedReply } from '../support/scripted-call.ts';

const GREETING = 'Hello, this is Ada.';
/** Turn-taking without replies begun on a guess, where their timing is not what is tested. */
const NO_GUESSES = { speculation: { enabled: false } };
const withGreeting = { first_message: GREETING };
const greetingMs = GREETING.length * MS_PER_CHARACTER + 500;

/** What the model was told in its newest request, without the system message. */
const told = (call: ScriptedCall) => call.requests.at(-1)?.messages.slice(1);

describe('a call', () => {
  it('greets, hears a question, answers it, and keeps both in the history of the next turn', () => {
    const call = new ScriptedCall({ agent: withGreeting, reply: () => ({ pieces: ['We open ', 'at nine.'] }) });
    call.advance(greetingMs);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'greeting', heard_text: GREETING, interrupted: false }]);
    call.say('When do you open?');
    call.advance(3_000);
    expect(told(call)).toEqual([
      { role: 'assistant', content: GREETING },
      { role: 'user', content: 'When do you open?' },
    ]);
    expect(call.of('agent-said').at(-1)).toMatchObject({
      kind: 'reply',
      heard_text: 'We open at nine.',
      interrupted: false,
    });
    call.say('And on Sundays?');
    call.advance(1_000);
    expect(told(call)).toEqual([
      { role: 'assistant', content: GREETING },
      { role: 'user', content: 'When do you open?' },
      { role: 'assistant', content: 'We open at nine.' },
      { role: 'user', content: 'And on Sundays?' },
    ]);
  });

  it('stamps the stages of a turn from the true end of speech', () => {
    const call = new ScriptedCall({ agent: { turn_taking: { end_of_turn_silence_ms: 400, ...NO_GUESSES } } });
    call.say('Hello?');
    call.advance(2_000);
    // Silence 400 ms → model 200 ms → voice 100 ms after the last piece (20 ms).
    const [traced] = call.of('turn-traced');
    expect(traced?.stages).toMatchObject({ speech_end_detected_ms: 100, turn_confirmed_ms: 400, first_token_ms: 600 });
    expect(traced?.stages.transcript_ms).toBeCloseTo(200, 0);
    expect(traced?.stages.first_audio_ms).toBeGreaterThanOrEqual(700);
    expect(traced?.stages.first_audio_ms).toBeLessThanOrEqual(740);
  });

  it('keeps to the words of a caller who pauses and goes on before the answer is audible', () => {
    const call = new ScriptedCall({ reply: () => ({ pieces: ['Done.'], firstMs: 2_000 }) });
    call.say('I would like a room');
    call.advance(600);
    call.say('for two nights.');
    call.advance(5_000);
    expect(told(call)).toEqual([{ role: 'user', content: 'I would like a room for two nights.' }]);
    expect(call.of('caller-said')).toMatchObject([{ text: 'I would like a room for two nights.' }]);
    expect(call.of('agent-said')).toHaveLength(1);
  });

  it('says so when it heard speech and no words came, and does not go on about it for ever', () => {
    const call = new ScriptedCall({ agent: { silence: { max_reminders: 0 } }, finalAfterMs: undefined });
    for (let turn = 0; turn < 4; turn++) {
      call.say('', 1_000);
      call.advance(8_000);
    }
    expect(call.of('agent-said').map(({ kind }) => kind)).toEqual(['apology', 'apology']);
    expect(call.of('turn-failed').map(({ stage, code }) => `${stage} ${code}`)).toEqual(Array(4).fill('stt no-words'));
    expect(call.requests).toHaveLength(0);
  });

  it('answers on what there is when the final transcript never comes', () => {
    const call = new ScriptedCall({ finalAfterMs: undefined });
    call.say('', 1_000);
    call.final('Are you there?');
    call.advance(3_000);
    expect(told(call)).toEqual([{ role: 'user', content: 'Are you there?' }]);
  });

  it('says goodbye to an end-call phrase, is heard to the end, and only then hangs up', () => {
    const call = new ScriptedCall({ agent: { goodbye_message: 'Goodbye then.' } });
    call.say('Okay, goodbye!');
    call.advance(5_000);
    const said = call.of('agent-said').at(-1);
    expect(said).toMatchObject({ kind: 'goodbye', heard_text: 'Goodbye then.', interrupted: false });
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'agent-hung-up' });
    const lastAudio = call.wire.findLast(({ type }) => type === 'media');
    const hungUp = call.wire.find(({ type }) => type === 'hang-up');
    expect(hungUp?.atMs).toBeGreaterThan(lastAudio?.atMs ?? Number.POSITIVE_INFINITY);
    expect(call.requests).toHaveLength(0);
  });

  it('ends at the maximum duration with a spoken word and that reason', () => {
    const call = new ScriptedCall({ agent: { max_duration_s: 10 } });
    call.advance(20_000);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'goodbye', interrupted: false }]);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'max-duration' });
  });

  it('answers what was said during a greeting that may not be interrupted, after the greeting', () => {
    const call = new ScriptedCall({ agent: { ...withGreeting, turn_taking: { interruptible_first_message: false } } });
    call.advance(200);
    call.say('Are you open?', 400);
    expect(call.of('barge-in')).toHaveLength(0);
    call.advance(4_000);
    expect(call.of('agent-said')[0]).toMatchObject({ kind: 'greeting', interrupted: false });
    expect(told(call)?.at(-1)).toEqual({ role: 'user', content: 'Are you open?' });
  });
});

describe('a barge-in', () => {
  const LONG =
    'We are open from nine to five on every day of the week, except on public holidays and the first of May.';
  const interrupted = (script: { echoMarks?: boolean } = {}) => {
    const call = new ScriptedCall({ ...script, reply: () => ({ pieces: [LONG] }) });
    call.say('When are you open?');
    call.advance(2_500);
    const atMs = call.clock.nowMs();
    call.say('Stop.', 600);
    return { call, atMs };
  };

  it.each([{ echoMarks: true }, { echoMarks: false }])(
    'stops the agent and cuts the history to what was heard ($echoMarks)',
    (script) => {
      const { call, atMs } = interrupted(script);
      const cleared = call.wire.find(({ type }) => type === 'clear');
      expect(cleared?.atMs).toBeLessThanOrEqual(atMs + 120 + 64);
      call.advance(1_000);
      const [said] = call.of('agent-said');
      expect(said).toMatchObject({ interrupted: true, text: LONG });
      expect(LONG.startsWith(said?.heard_text ?? '?')).toBe(true);
      // Speech is modelled as 60 ms a character: what was heard is known to a word.
      const heardCharacters = (said?.heard_ms ?? 0) / MS_PER_CHARACTER;
      expect(Math.abs((said?.heard_text.length ?? 0) - heardCharacters)).toBeLessThanOrEqual(10);
      expect(told(call)).toEqual([
        { role: 'user', content: 'When are you open?' },
        { role: 'assistant', content: said?.heard_text },
        { role: 'user', content: 'Stop.' },
      ]);
    },
  );

  it('lets no audio of the cut reply onto the wire after the clear', () => {
    const { call } = interrupted();
    const cleared = call.wire.findIndex(({ type }) => type === 'clear');
    const confirmedAtMs = call.of('turn-confirmed').at(-1)?.at_ms ?? 0;
    const between = call.wire.slice(cleared).filter(({ type, atMs }) => type === 'media' && atMs < confirmedAtMs);
    expect(between).toEqual([]);
  });

  it.each([
    ['nothing was recognised', '', 'nothing-recognised'],
    ['it was only a "go on"', 'Uh-huh, yeah.', 'backchannel'],
  ])('is taken back when %s: the agent goes on, and all of it is heard', (_what, text, cause) => {
    const call = new ScriptedCall({ reply: () => ({ pieces: [LONG] }) });
    call.say('When are you open?');
    call.advance(2_500);
    call.say(text, 200);
    call.advance(9_000);
    expect(call.of('interruption-suspected')).toHaveLength(1);
    expect(call.of('false-interruption')).toMatchObject([{ cause }]);
    expect(call.of('resumed')).toHaveLength(1);
    expect(call.of('barge-in')).toHaveLength(0);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'reply', heard_text: LONG, interrupted: false }]);
    expect(call.requests).toHaveLength(1);
  });

  it('is not waited for longer than the limit, when nothing at all is recognised and the sound goes on', () => {
    const call = new ScriptedCall({ reply: () => ({ pieces: [LONG] }), finalAfterMs: undefined });
    call.final('When are you open?');
    call.advance(3_000);
    call.say('', 3_000);
    call.advance(9_000);
    const [suspected] = call.of('interruption-suspected');
    const [resumed] = call.of('resumed');
    expect((resumed?.at_ms ?? 0) - (suspected?.at_ms ?? 0)).toBeLessThanOrEqual(932);
    // The same sound does not silence the agent twice.
    expect(call.of('interruption-suspected')).toHaveLength(1);
    expect(call.of('agent-said')[0]).toMatchObject({ heard_text: LONG, interrupted: false });
    // Nor is the caller asked to repeat what was taken for no speech.
    expect(call.of('agent-said')).toHaveLength(1);
  });

  it('still comes of words that are recognised after it was taken for a false alarm', () => {
    const call = new ScriptedCall({ reply: () => ({ pieces: [LONG] }), finalAfterMs: 1_200 });
    call.final('When are you open?');
    call.advance(2_500);
    call.say('Stop please.', 700);
    call.advance(3_000);
    expect(call.of('false-interruption')).toHaveLength(1);
    expect(call.of('agent-said')[0]).toMatchObject({ interrupted: true });
    expect(told(call)?.at(-1)).toEqual({ role: 'user', content: 'Stop please.' });
  });

  it('needs a longer sound after repeated false alarms', () => {
    const turn_taking = { cool_down_after: 1, cool_down_ms: 20_000 };
    const call = new ScriptedCall({ agent: { turn_taking }, reply: () => ({ pieces: [LONG] }) });
    call.say('When are you open?');
    call.advance(2_000);
    call.say('', 200);
    call.advance(1_000);
    call.say('', 200);
    call.advance(1_000);
    expect(call.of('interruption-suspected')).toHaveLength(1);
  });

  it('does not touch what must be spoken to its end', () => {
    const turn_taking = { never_interrupt: [LONG] };
    const call = new ScriptedCall({ agent: { turn_taking }, reply: () => ({ pieces: [LONG] }) });
    call.say('When are you open?');
    call.advance(2_000);
    call.say('Stop.', 600);
    call.advance(1_000);
    expect(call.wire.filter(({ type }) => type === 'clear')).toHaveLength(0);
    call.advance(8_000);
    expect(call.of('agent-said')[0]).toMatchObject({ heard_text: LONG, interrupted: false });
    expect(told(call)?.at(-1)).toEqual({ role: 'user', content: 'Stop.' });
  });
});

describe('a guess', () => {
  const GUESSED = 'When do you open?';
  const answer = () => ({ pieces: ['We open at nine.'] });

  it('begins the reply at the pause, and lets it go when the caller has said just that', () => {
    const call = new ScriptedCall({ reply: answer, agent: { turn_taking: { end_of_turn_silence_ms: 600 } } });
    call.say(GUESSED);
    call.advance(4_000);
    expect(call.of('speculation-started')).toMatchObject([{ text: GUESSED }]);
    expect(call.of('speculation-hit')).toHaveLength(1);
    expect(call.requests).toHaveLength(1);
    expect(call.of('agent-said')).toMatchObject([{ heard_text: 'We open at nine.', interrupted: false }]);
    // Audible within a frame of the end of the wait, since it was there already.
    const { stages } = call.of('turn-traced')[0] ?? {};
    expect((stages?.first_audio_ms ?? 0) - (stages?.turn_confirmed_ms ?? 0)).toBeLessThanOrEqual(20);
  });

  it('is dropped when the caller goes on, and nothing of it is heard or remembered', () => {
    const call = new ScriptedCall({ reply: answer, agent: { turn_taking: { end_of_turn_silence_ms: 600 } } });
    call.say(GUESSED);
    call.advance(250);
    call.say('On Sundays, I mean.');
    call.advance(4_000);
    expect(call.of('speculation-missed').length).toBeGreaterThanOrEqual(1);
    expect(call.of('turn-confirmed')).toMatchObject([{ text: `${GUESSED} On Sundays, I mean.` }]);
    expect(call.of('caller-said')).toHaveLength(1);
    expect(call.of('agent-said')).toHaveLength(1);
    expect(call.wire.filter(({ type }) => type === 'clear')).toHaveLength(0);
  });

  it('runs no tool before it is confirmed', () => {
    const reply = () => ({ pieces: ['Bye then.'], tools: ['end_call'] });
    const call = new ScriptedCall({ reply, agent: { turn_taking: { end_of_turn_silence_ms: 1_500 } } });
    call.say('I have everything I need.');
    call.advance(1_000);
    expect(call.of('speculation-started')).toHaveLength(1);
    expect(call.of('tool-called')).toHaveLength(0);
    call.advance(4_000);
    expect(call.of('tool-called')).toMatchObject([{ name: 'end_call' }]);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'agent-hung-up' });
  });

  it('is made no more often than allowed, nor when the budget is spent', () => {
    const turn_taking = { end_of_turn_silence_ms: 1_000, speculation: { max_tries: 1 } };
    const call = new ScriptedCall({ reply: answer, agent: { turn_taking } });
    call.say(GUESSED);
    call.advance(300);
    call.say('On Sundays?');
    call.advance(5_000);
    expect(call.of('speculation-started')).toHaveLength(1);
    const broke = new ScriptedCall({
      reply: answer,
      agent: { turn_taking: { speculation: { wasted_token_budget: 0 } } },
    });
    broke.say(GUESSED);
    broke.advance(3_000);
    expect(broke.of('speculation-started')).toHaveLength(0);
    expect(broke.of('agent-said')).toHaveLength(1);
  });
});

describe('a recogniser that decides turns itself', () => {
  it('is believed at once: no local wait is stacked on it', () => {
    const call = new ScriptedCall({
      finalAfterMs: undefined,
      agent: { turn_taking: { end_of_turn_silence_ms: 2_000 } },
    });
    call.say('');
    call.model({ type: 'turn-end-likely', text: 'Hello?' });
    call.advance(100);
    expect(call.of('speculation-started')).toHaveLength(1);
    call.model({ type: 'turn-ended', text: 'Hello?', confidence: 0.9 });
    expect(call.of('turn-confirmed')).toMatchObject([{ text: 'Hello?' }]);
    expect(call.of('speculation-hit')).toHaveLength(1);
  });
});

describe('a recogniser that takes over', () => {
  /** A turn is answered on a guess, and the caller goes on before the answer is heard. */
  function goneOn(): ScriptedCall {
    const call = new ScriptedCall({
      agent: { first_message: '' },
      finalAfterMs: undefined,
      reply: () => ({ pieces: ['Yes.'], firstMs: 5_000 }),
    });
    call.interim('I would like a table for two.');
    call.say('', 1_000);
    call.advance(1_500);
    expect(call.of('turn-confirmed')).toHaveLength(1);
    call.beginNoise(600);
    return call;
  }

  const answered = (call: ScriptedCall) => {
    call.advance(4_000);
    return call.requests.at(-1)?.messages.at(-1)?.content;
  };

  it('may have heard the words that were counted from the middle on only: none of them is said twice', () => {
    const call = goneOn();
    call.openRecogniser();
    call.final('a table');
    call.final('For two on Sunday.');
    expect(answered(call)).toBe('I would like a table for two. on Sunday.');
  });

  it('may say again the end of what was guessed only: the words before that stay', () => {
    const call = new ScriptedCall({ agent: { first_message: '' }, finalAfterMs: undefined });
    call.beginNoise(4_000);
    call.interim('My address is twelve long street in Springfield');
    call.openRecogniser();
    call.interim('Long street');
    call.interim('Long street in Springfield');
    call.final('Long Street in Springfield.');
    call.final('By the lake.');
    expect(answered(call)).toBe('My address is twelve Long Street in Springfield. By the lake.');
  });

  it('never hears what was told before its audio begins: that stays, whatever it says', () => {
    const call = new ScriptedCall({ agent: { first_message: '' }, finalAfterMs: undefined });
    call.beginNoise(1_000);
    call.interim('I live at twelve');
    call.advance(3_500);
    call.interim('I live at twelve long street');
    call.advance(500);
    call.openRecogniser(3_000);
    call.final('Lone tree, please.');
    call.advance(200);
    call.openRecogniser(3_000);
    call.final('And hurry.');
    expect(answered(call)).toBe('I live at twelve Lone tree, please. And hurry.');
  });

  it('keeps what the next one has said again, though the final of that never comes', () => {
    const call = new ScriptedCall({ agent: { first_message: '' }, finalAfterMs: undefined });
    call.beginNoise(1_000);
    call.interim('My address is twelve long street');
    call.openRecogniser();
    call.interim('Twelve long street');
    call.interim('In Springfield.');
    call.openRecogniser();
    call.final('Long street in Springfield.');
    expect(answered(call)).toBe('My address is twelve Long street in Springfield.');
  });

  it('may be lost before it comes to what the one before it had told', () => {
    const call = new ScriptedCall({ agent: { first_message: '' }, finalAfterMs: undefined });
    call.beginNoise(1_000);
    call.interim('I live at twelve long street');
    call.advance(1_500);
    call.openRecogniser(3_000);
    call.interim('Well,');
    call.final('Well,');
    call.interim('Long street');
    call.advance(2_000);
    call.openRecogniser(3_000);
    call.final('By the lake.');
    expect(answered(call)).toBe('Well, Long street By the lake.');
  });

  it('leaves the end of the turn to us where the one before it decided that', () => {
    const call = new ScriptedCall({ agent: { first_message: '' }, finalAfterMs: undefined });
    call.say('When do you open?');
    call.model({ type: 'turn-end-likely', text: 'When do you open?' });
    call.openRecogniser(3_000);
    call.advance(1_600);
    expect(call.of('turn-confirmed')).toHaveLength(1);
  });

  it('does not take new words for counted ones that it cannot have heard', () => {
    const call = goneOn();
    call.openRecogniser(100);
    call.final('For two.');
    expect(answered(call)).toBe('I would like a table for two. For two.');
  });

  it('is the exception: words in the middle of those that come again from the same one are new', () => {
    const call = goneOn();
    call.final('A table.');
    expect(answered(call)).toBe('I would like a table for two. A table.');
  });
});

describe('the rest of a call', () => {
  it('reminds a caller who says nothing, and takes its leave after that', () => {
    const silence = { reminder_after_ms: 3_000, reminder_message: 'Still there?', max_reminders: 2 };
    const call = new ScriptedCall({ agent: { ...withGreeting, silence } });
    call.advance(30_000);
    expect(call.of('agent-said').map(({ kind }) => kind)).toEqual(['greeting', 'reminder', 'reminder', 'goodbye']);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'caller-silent' });
  });

  it('warns before the maximum duration', () => {
    const call = new ScriptedCall({
      agent: { max_duration_s: 20, duration_warning_s: 10, silence: { max_reminders: 0 } },
    });
    call.advance(40_000);
    expect(call.of('agent-said').map(({ kind }) => kind)).toEqual(['warning', 'goodbye']);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'max-duration' });
  });

  it('fills a long wait, and still answers in the same breath', () => {
    const call = new ScriptedCall({
      reply: () => ({ pieces: ['Yes.'], firstMs: 4_500 }),
      agent: { turn_taking: NO_GUESSES },
    });
    call.say('Are you there?');
    call.advance(9_000);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'reply', heard_text: 'One moment, please. Yes.' }]);
  });

  it('ends by the tool: the goodbye is heard, and the history has the result', () => {
    const call = new ScriptedCall({
      reply: () => ({ pieces: [], tools: ['end_call'] }),
      agent: { goodbye_message: 'So long.' },
    });
    call.say('I am done here.');
    call.advance(5_000);
    expect(call.of('agent-said')).toMatchObject([{ heard_text: 'So long.', interrupted: false }]);
    expect(call.of('tool-finished')).toHaveLength(1);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'agent-hung-up' });
  });

  it('follows every tool call with its result in the next request', () => {
    const call = new ScriptedCall({ reply: () => ({ pieces: ['Let me see.'], tools: ['unheard_of'] }) });
    call.say('Book a table.');
    call.advance(4_000);
    call.say('Hello?');
    call.advance(2_000);
    const messages = told(call) ?? [];
    const at = messages.findIndex((message) => message.role === 'assistant' && (message.toolCalls?.length ?? 0) > 0);
    expect(at).toBeGreaterThanOrEqual(0);
    expect(messages[at + 1]).toMatchObject({ role: 'tool', toolCallId: 'call-unheard_of' });
  });

  it('takes the keys that are pressed for a part of the turn', () => {
    const call = new ScriptedCall({ agent: { turn_taking: { dictation_silence_ms: 1_000 } } });
    for (const digit of '4711#') {
      call.session.onDtmf(digit);
      call.advance(300);
    }
    call.advance(5_000);
    expect(call.of('turn-confirmed')).toMatchObject([{ text: '4711#' }]);
  });

  it('lets a caller who speaks after the keys pause as anybody may', () => {
    const call = new ScriptedCall({
      agent: { turn_taking: { dictation_silence_ms: 1_000, speculation: { enabled: false } } },
    });
    for (const digit of '47') {
      call.session.onDtmf(digit);
      call.advance(300);
    }
    call.say('and my name is', 1_500);
    call.advance(500);
    expect(call.of('turn-confirmed')).toEqual([]);
    call.say('Ada.');
    call.advance(3_000);
    expect(call.of('turn-confirmed')).toMatchObject([{ text: '47 and my name is Ada.' }]);
  });
});

describe('a sound that does not end', () => {
  it('does not keep a question from its answer that was confirmed just before it', () => {
    const call = new ScriptedCall({ agent: { turn_taking: { speculation: { enabled: false } } } });
    call.say('Hello?');
    call.advance(220);
    expect(call.of('turn-confirmed')).toHaveLength(1);
    call.beginNoise();
    call.advance(8_000);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'reply', heard_text: 'All right.' }]);
    expect(call.of('caller-said')).toMatchObject([{ text: 'Hello?' }]);
  });

  it('does not keep words from taking the floor', () => {
    const call = new ScriptedCall({
      reply: () => ({ pieces: ['Let me tell you all about it, from the very beginning to the end.'] }),
    });
    call.beginNoise();
    call.interim('Tell me');
    call.final('Tell me all.');
    call.advance(4_500);
    expect(call.of('first-audio')).toHaveLength(1);
    call.final('Stop, stop, wait!');
    call.advance(200);
    expect(call.of('barge-in')).toHaveLength(1);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'reply', interrupted: true }]);
  });

  it('and says nothing is silence: the agent reminds, and takes its leave', () => {
    const call = new ScriptedCall({ agent: { silence: { reminder_after_ms: 4_000, max_reminders: 1 } } });
    call.beginNoise();
    call.advance(30_000);
    expect(call.of('agent-said').map(({ kind }) => kind)).toEqual(['reminder', 'goodbye']);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'caller-silent' });
  });
});

describe('what the operator has the agent say', () => {
  it('is said before the answer to what the caller has said already, a cough notwithstanding', () => {
    const call = new ScriptedCall({
      agent: { turn_taking: NO_GUESSES },
      reply: () => ({ pieces: ['We open at nine.'], firstMs: 2_000 }),
    });
    call.say('When do you open?');
    call.advance(500);
    call.say('', 300);
    call.session.say('Please hold the line.');
    call.advance(400);
    call.say('', 300);
    call.advance(9_000);
    expect(call.of('barge-in')).toEqual([]);
    expect(call.of('agent-said').map(({ heard_text }) => heard_text)).toEqual([
      'Please hold the line.',
      'We open at nine.',
    ]);
  });

  it('is said although the caller is speaking, and is no turn of theirs', () => {
    const call = new ScriptedCall();
    call.beginNoise(600);
    call.interim('I would like to');
    call.session.say('Your table is ready.');
    call.advance(6_000);
    expect(call.of('agent-said')[0]).toMatchObject({ kind: 'reply', text: 'Your table is ready.' });
    call.say('Thank you.');
    call.advance(3_000);
    const turns = call.of('turn-confirmed').map(({ turn }) => turn);
    expect(turns).toEqual([...new Set(turns)]);
    expect(Math.min(...turns)).toBe(1);
  });
});

describe('when something fails', () => {
  it('apologises when the model fails before it said anything, and answers the next turn', () => {
    let turn = 0;
    const call = new ScriptedCall({
      reply: () => ({ pieces: turn++ === 0 ? [] : ['Yes.'], end: turn === 1 ? 'fail' : 'finish' }),
    });
    call.say('Hello?');
    call.advance(8_000);
    expect(call.of('turn-failed')).toMatchObject([{ stage: 'llm', code: 'provider.overloaded' }]);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'apology' }]);
    call.say('Are you there?');
    call.advance(3_000);
    expect(call.of('agent-said').at(-1)).toMatchObject({ kind: 'reply', heard_text: 'Yes.' });
    expect(
      call.requests
        .at(-1)
        ?.messages.filter(({ role }) => role === 'user')
        .map(({ content }) => content),
    ).toEqual(['Hello?', 'Are you there?']);
  });

  it('finishes what the model had said when it fails midway', () => {
    const call = new ScriptedCall({ reply: () => ({ pieces: ['We open at nine. ', 'We close at'], end: 'fail' }) });
    call.say('Hours?');
    call.advance(5_000);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'reply', heard_text: 'We open at nine. We close at' }]);
    expect(call.of('turn-failed')).toMatchObject([{ stage: 'llm' }]);
  });

  it('apologises at the turn deadline when the model stays silent', () => {
    const call = new ScriptedCall({
      agent: { turn_taking: { turn_deadline_ms: 3_000 } },
      reply: () => ({ pieces: [], end: 'hang' }),
    });
    call.say('Hello?');
    call.advance(9_000);
    expect(call.of('turn-failed')).toMatchObject([{ stage: 'llm', code: 'turn-deadline' }]);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'apology' }]);
  });

  it('says why a turn had no reply when there is no voice to say it with, listens on, and leaves when that goes on', () => {
    const call = new ScriptedCall({ ttsFails: true });
    call.say('Hello?');
    call.advance(3_000);
    // The reply, and the apology for it.
    expect(call.of('turn-failed').map(({ stage }) => stage)).toEqual(['tts', 'tts']);
    expect(call.of('call-ended')).toEqual([]);
    call.say('Hello?');
    call.advance(3_000);
    expect(new Set(call.of('turn-failed').map(({ stage }) => stage))).toEqual(new Set(['tts']));
    expect(call.of('caller-said')).toHaveLength(2);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'providers-down' });
  });

  it('apologises in words that can be said when no voice can say the reply', () => {
    const call = new ScriptedCall({ ttsFails: (text) => text.includes('All right.') });
    call.say('Hello?');
    call.advance(8_000);
    expect(call.of('turn-failed')).toMatchObject([{ stage: 'tts' }]);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'apology', interrupted: false }]);
    expect(call.of('call-ended')).toEqual([]);
  });

  it.each(['👍', ' ', '…'])('takes a reply that leaves nothing to say (%j) for none', (text) => {
    const call = new ScriptedCall({ reply: () => ({ pieces: [text] }) });
    call.say('Hello?');
    call.advance(5_000);
    expect(call.of('turn-failed')).toMatchObject([{ stage: 'llm', code: 'empty-reply' }]);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'apology', interrupted: false }]);
  });

  it('listens at once when the first message leaves nothing to say', () => {
    const call = new ScriptedCall({ agent: { first_message: '👋' } });
    call.advance(500);
    call.say('Hello?');
    call.advance(3_000);
    expect(call.of('turn-failed')).toEqual([]);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'reply' }]);
  });

  it('takes its way out after two turns in a row that nobody could answer', () => {
    const failing = (): ScriptedReply => ({ pieces: [], end: 'fail' });
    const call = new ScriptedCall({
      agent: { fallback: { action: 'message', message: 'Write to us.' } },
      reply: failing,
    });
    call.say('Hello?');
    call.advance(8_000);
    call.say('Hello?');
    call.advance(8_000);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'apology' }, { kind: 'goodbye', heard_text: 'Write to us.' }]);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'providers-down' });
  });

  it('counts only failures in a row', () => {
    let turn = 0;
    const reply = (): ScriptedReply => (turn++ % 2 === 0 ? { pieces: [], end: 'fail' } : { pieces: ['Yes.'] });
    const call = new ScriptedCall({ reply });
    for (let round = 0; round < 4; round++) {
      call.say('Hello?');
      call.advance(8_000);
    }
    expect(call.of('turn-failed')).toHaveLength(2);
    expect(call.of('call-ended')).toEqual([]);
  });

  it('connects the caller to a person, and lets the line go only when the operator has taken over', async () => {
    const call = new ScriptedCall({
      agent: { fallback: { action: 'transfer', transfer_to: '+15550199' } },
      reply: () => ({ pieces: [], end: 'fail' }),
      canTransfer: true,
    });
    call.say('Hello?');
    call.advance(8_000);
    call.say('Hello?');
    call.advance(12_000);
    expect(call.transfers.map(({ to }) => to)).toEqual(['+15550199']);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'transferred' });
    expect(call.wire.filter(({ type }) => type === 'hang-up')).toEqual([]);
    call.transfers[0]?.settle();
    await Promise.resolve();
    expect(call.wire.filter(({ type }) => type === 'hang-up')).toHaveLength(1);
  });

  it('promises no person where nobody can connect the caller', () => {
    const call = new ScriptedCall({
      agent: { fallback: { action: 'transfer', message: 'I connect you.', transfer_to: '+15550199' } },
    });
    call.failRecogniser();
    call.advance(10_000);
    expect(call.of('agent-said')).toHaveLength(1);
    expect(call.of('agent-said')[0]?.text).not.toContain('connect');
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'providers-down' });
  });

  it('says goodbye when nobody can hear the caller any more', () => {
    const call = new ScriptedCall();
    call.failRecogniser();
    call.advance(10_000);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'goodbye' }]);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'providers-down' });
  });

  it('takes leave when the server must stop', () => {
    const call = new ScriptedCall();
    call.advance(100);
    call.session.leave();
    call.advance(10_000);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'goodbye', interrupted: false }]);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'server-shutdown' });
  });
});

describe('a far side that does not read', () => {
  it('gets nothing until it does, and then all of the reply, once', () => {
    const call = new ScriptedCall({ agent: withGreeting });
    call.congested = true;
    call.advance(2_000);
    expect(call.sentMs()).toBe(0);
    call.congested = false;
    call.advance(greetingMs);
    expect(call.sentMs()).toBe(GREETING.length * MS_PER_CHARACTER);
    expect(call.of('agent-said')).toMatchObject([{ heard_text: GREETING, interrupted: false }]);
  });
});

describe('the end', () => {
  it('may come at any moment, has one reason, and leaves no timer and no stream', () => {
    for (let hangUpAtMs = 0; hangUpAtMs < 8_200; hangUpAtMs += 37) {
      const call = new ScriptedCall({ agent: withGreeting });
      const timer = call.clock.after(hangUpAtMs, () => call.session.onEnd('stop'));
      call.advance(1_800);
      call.say('When do you open?');
      call.advance(1_500);
      call.say('And on Sundays, please?', 1_500);
      call.advance(2_500);
      timer.cancel();
      expect(call.of('call-ended')).toMatchObject([{ reason: 'caller-hung-up' }]);
      expect(call.events.at(-1)?.type).toBe('call-ended');
      expect(call.released).toBe(true);
      expect(call.openStreams).toBe(0);
      expect(call.of('turn-failed')).toEqual([]);
    }
  });

  it('cancels every timer of its own', () => {
    const call = new ScriptedCall({
      agent: withGreeting,
      echoMarks: false,
      finalAfterMs: undefined,
      audioAfterMs: undefined,
    });
    call.say('When do you open?');
    call.session.onEnd('socket-closed');
    expect(call.clock.pendingTimers).toBe(0);
  });
});
