/** What is known of the caller's turn: voice and transcripts, folded in as they come. Draws no consequence: that is `settle`'s. */
import { unreachable } from '../../core/errors.ts';
import type { CallEventBody } from '../events.ts';
import { normaliseTranscript } from '../text/normalise.ts';
import type { Compared } from './known-words.ts';
import {
  compareFromWithin,
  compareWithKnown,
  NOTHING_TOLD,
  partAtTime,
  restAfterLast,
  restAfterSecondThought,
  standingBeside,
  toldSince,
  toldWithin,
} from './known-words.ts';
import type { Action, CallState, CallerTurn, SessionEvent, Voice } from './state.ts';
import { TRANSCRIPT_DEADLINE_MS, observeResumption, turnText } from './turn-taking/endpointing.ts';

type VoiceEvent = Extract<SessionEvent, { type: 'voice-started' | 'voice-continued' | 'voice-faded' | 'voice-ended' }>;
type TranscriptEvent = Extract<
  SessionEvent,
  { type: 'transcript-interim' | 'transcript-final' | 'turn-end-likely' | 'turn-resumed' | 'turn-ended' }
>;

/** Adds what the voice detector heard. */
export function hearVoice(state: CallState, event: VoiceEvent, nowMs: number, actions: Action[]): CallState {
  const { turn } = state;
  switch (event.type) {
    case 'voice-started': {
      actions.push({ type: 'emit', event: { type: 'caller-speech-started' } });
      const { startedAtMs } = event;
      const rhythm = observeResumption(state.rhythm, turn, startedAtMs, state.agent.language);
      const voice: Voice = { type: 'speaking', startedAtMs, speechMs: 0, lastVoicedAtMs: nowMs, faded: false };
      return {
        ...forgetRetracted(state),
        rhythm,
        overlap: outlived(state, nowMs) ? undefined : state.overlap,
        ignoredVoiceMs: undefined,
        falseAlarm: undefined,
        turn: { ...turn, voice, settled: false },
      };
    }
    case 'voice-continued': {
      if (turn.voice.type !== 'speaking') return state;
      const { speechMs, voicedAtMs, faded } = event;
      return { ...state, turn: { ...turn, voice: { ...turn.voice, speechMs, lastVoicedAtMs: voicedAtMs, faded } } };
    }
    case 'voice-faded':
      if (turn.voice.type !== 'speaking') return state;
      return { ...state, turn: { ...turn, voice: { ...turn.voice, faded: true } } };
    case 'voice-ended':
      actions.push({ type: 'emit', event: { type: 'caller-speech-ended' } });
      // A sound that was taken for a false alarm and stayed without words was none of the caller's turn.
      if (isIgnored(state)) return { ...state, turn: { ...turn, voice: { type: 'silent' } } };
      return { ...state, turn: endVoice(turn, event.endedAtMs, nowMs) };
    default:
      return unreachable(event);
  }
}

/** Whether nothing more will be recognised of a sound that came while the agent spoke. */
function outlived({ overlap, turn }: CallState, nowMs: number): boolean {
  return turnText(turn) === '' && overlap !== undefined && nowMs - overlap.atMs > TRANSCRIPT_DEADLINE_MS;
}

/** The caller's turn is over, or a "go on": the transcripts that follow say its guess again before they say anything new. */
export function countInterim(
  { turn, countedInterim, countedAtMs, countedIsSettled }: CallState,
  nowMs: number,
): Pick<CallState, 'countedInterim' | 'countedAtMs' | 'countedIsSettled'> {
  if (turn.interim === '') return { countedInterim, countedAtMs, countedIsSettled };
  return {
    countedInterim: joined(countedInterim, turn.interim),
    countedAtMs: nowMs,
    countedIsSettled: turn.interim === turn.leftOut,
  };
}

/** Counted words that no final came of, though the recogniser has answered for all audio, are none of what the caller says next. */
function forgetRetracted(state: CallState): CallState {
  return state.countedIsSettled ? { ...state, countedInterim: '', countedIsSettled: false } : state;
}

/** One word of a guess may be said again by chance; as many as this are the same speech. */
const MET_WORDS = 2;
/** Audio and the clock may be apart by so much, when frames were late or lost. */
const AUDIO_DRIFT_MS = 200;

/**
 * A recogniser has begun, with what came in since `hearsFromMs`. What the one before it had told by then nobody will tell again, and
 * it stays; the rest of its guess the new one may hear again, from the middle on only. Whether the new one decides turns, and when,
 * it has yet to show: until then we do.
 */
export function meetRecogniser(state: CallState, hearsFromMs: number): CallState {
  const { turn } = state;
  const sureMs = hearsFromMs - AUDIO_DRIFT_MS;
  const { told, rest } = partAtTime(turn.interim === '' ? NOTHING_TOLD : turn.guessTold, sureMs);
  const countedInterim = state.countedAtMs <= sureMs ? '' : state.countedInterim;
  return {
    ...state,
    countedInterim,
    recogniserIsNew: countedInterim !== '' || rest.text !== '',
    hasGuessed: false,
    modelDecides: false,
    turn: {
      ...turn,
      modelTurn: turn.modelTurn === 'ended' ? 'ended' : 'none',
      finals: told === '' ? turn.finals : [...turn.finals, told],
      interim: rest.text,
      guessTold: rest,
      lostGuess: rest.text,
      lostTold: rest,
      lostGuessMet: false,
    },
  };
}

/** Adds what the recogniser heard. */
export function hearWords(state: CallState, event: TranscriptEvent, nowMs: number, actions: Action[]): CallState {
  switch (event.type) {
    case 'transcript-interim':
      return hearInterim({ ...state, hasGuessed: state.hasGuessed || event.text !== '' }, event, nowMs, actions);
    case 'transcript-final':
      return hearFinal(state, event, nowMs, actions);
    case 'turn-end-likely':
      return modelGuesses(state, withLostWords(state.turn, newWords(state, event.text)), 'likely', nowMs);
    case 'turn-resumed':
      return modelGuesses(state, state.turn.interim, 'open', nowMs);
    case 'turn-ended': {
      const known = settleCounted(state, event.text);
      if (known.text === '') return { ...known.state, modelDecides: true };
      emitTranscript(event.text, true, event.confidence, actions);
      return modelEnds(known.state, known.text, nowMs);
    }
    default:
      return unreachable(event);
  }
}

function hearInterim(
  known: CallState,
  { text, confidence }: Extract<TranscriptEvent, { type: 'transcript-interim' }>,
  nowMs: number,
  actions: Action[],
): CallState {
  const state = withLostGuessMet(known, text);
  const { turn } = state;
  const fresh = withLostWords(turn, newWords(state, text));
  // The same words again are no news: a recogniser repeats its guess as long as there is sound.
  if (fresh === '' || fresh === turn.interim) return state;
  emitTranscript(text, false, confidence, actions);
  const modelTurn = turn.modelTurn === 'none' ? 'none' : 'open';
  return withTurn(state, { ...withInterim(turn, fresh, nowMs), transcriptAtMs: nowMs, modelTurn }, nowMs);
}

function hearFinal(
  known: CallState,
  { text, confidence, settled }: Extract<TranscriptEvent, { type: 'transcript-final' }>,
  nowMs: number,
  actions: Action[],
): CallState {
  // Only recognisers that leave the end of a turn to us speak of finals: another one may have taken over.
  const { state, text: fresh } = settleCounted({ ...known, modelDecides: false }, text);
  const { interim, leftOut } = state.turn;
  const isLeftOut = settled && text === '';
  const turn: CallerTurn = {
    ...state.turn,
    settled: state.turn.settled || settled,
    leftOut: isLeftOut ? interim : leftOut,
    modelTurn: 'none',
  };
  if (text !== '') emitTranscript(text, true, confidence, actions);
  if (fresh === '') {
    const countedIsSettled = state.countedIsSettled || isLeftOut;
    return { ...state, countedIsSettled, turn: settled ? withKeysPlaced(turn) : turn };
  }
  return withTurn(state, { ...withFinal(turn, fresh, nowMs), transcriptAtMs: nowMs }, nowMs);
}

function withInterim(turn: CallerTurn, interim: string, nowMs: number): CallerTurn {
  if (interim === '') return { ...turn, interim };
  // A recogniser that was lost may have told them before this one came to them.
  const toldAtMs = toldWithin(interim, turn.lostTold) ?? toldSince(interim, turn.guessTold, nowMs);
  return { ...turn, interim, guessTold: { text: interim, toldAtMs } };
}

/** What is final, after the words of a lost guess that come before it; those after it the successor has yet to say. */
function withFinal(turn: CallerTurn, text: string, nowMs: number): CallerTurn {
  const { before, leftover } = standing(text, turn);
  // A final that says nothing of the guess may be of the words before it, which came out of order.
  const isOfGuess = leftover === '' && standingBeside(text, turn.guessTold.text).common > 0;
  const guessTold = isOfGuess ? NOTHING_TOLD : turn.guessTold;
  const finals = [...turn.finals, joined(before, text)];
  const told = withInterim({ ...turn, guessTold }, leftover, nowMs);
  return withKeysPlaced({ ...told, finals, lostGuess: leftover, lostGuessMet: false });
}

/** Keys have their place in the turn when no words before them are to come any more. */
function withKeysPlaced(turn: CallerTurn): CallerTurn {
  if (turn.keys === '' || turn.interim !== '') return turn;
  return { ...turn, finals: [...turn.finals, turn.keys], keys: '' };
}

function withLostGuessMet(state: CallState, text: string): CallState {
  const { turn } = state;
  if (turn.lostGuessMet || standingBeside(text, turn.lostGuess).common < MET_WORDS) return state;
  return { ...state, turn: { ...turn, lostGuessMet: true } };
}

/** A guess that is new, among the words of a lost one that it leaves standing. */
function withLostWords(turn: CallerTurn, fresh: string): string {
  if (fresh === '') return '';
  const { before, leftover } = standing(fresh, turn);
  return joined(before, fresh, leftover);
}

/** What of a lost guess stands beside a text of the successor. */
function standing(text: string, { lostGuess, lostGuessMet }: CallerTurn): { before: string; leftover: string } {
  const { before, leftover, common } = standingBeside(text, lostGuess);
  // It has said that part of the guess, the final of which has not come, and says what follows.
  return common === 0 && lostGuessMet ? { before: lostGuess, leftover: '' } : { before, leftover };
}

function joined(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(' ');
}

/** What of a guess has not been counted already. */
function newWords(state: CallState, text: string): string {
  if (text === '' || isLate(state, text)) return '';
  if (state.countedInterim === '') return text;
  return compareWithCounted(text, state)?.rest ?? beyondSecondThought(text, state);
}

/** What of a final has not been counted already, and the state in which the counted words are final. */
function settleCounted(known: CallState, text: string): { state: CallState; text: string } {
  if (text === '') return { state: known, text };
  const state = { ...known, recogniserIsNew: false };
  if (state.countedInterim === '') return { state, text: isLate(state, text) ? '' : text };
  const compared = compareWithCounted(text, known);
  if (compared) return { state: { ...state, countedInterim: compared.leftover }, text: compared.rest };
  // Finals of the earlier ones may never have come, whatever has been heard since.
  const rest = restAfterLast(text, state.countedInterim) ?? beyondSecondThought(text, state);
  return { state: { ...state, countedInterim: '' }, text: rest };
}

function compareWithCounted(text: string, { countedInterim, recogniserIsNew }: CallState): Compared | undefined {
  return recogniserIsNew ? compareFromWithin(text, countedInterim) : compareWithKnown(text, countedInterim);
}

/**
 * Words that differ from the counted ones in part, with no new sound since, are the recogniser's second thoughts on those. What
 * follows the last of those is new all the same.
 */
function beyondSecondThought(text: string, { turn, countedInterim }: CallState): string {
  if (turn.voice.type !== 'silent') return text;
  return restAfterSecondThought(text, countedInterim) ?? text;
}

/** A key was pressed: it becomes part of what the caller says. */
export function hearDigit(state: CallState, digit: string, nowMs: number, actions: Action[]): CallState {
  actions.push({ type: 'emit', event: { type: 'dtmf', digit } });
  const { turn } = state;
  // The hash key ends what is keyed in, as it does everywhere.
  const keysUntilMs = digit === '#' ? nowMs : nowMs + state.agent.turnTaking.dictationSilenceMs;
  return withTurn(state, { ...withDigit(turn, digit), transcriptAtMs: nowMs, keysUntilMs }, nowMs);
}

/** Behind the words that were said before it, the last of which the recogniser may not have told yet. */
function withDigit(turn: CallerTurn, digit: string): CallerTurn {
  if (turn.keys !== '' || turn.interim !== '' || (turn.voice.type !== 'silent' && !turn.settled)) {
    return { ...turn, keys: turn.keys + digit };
  }
  const last = turn.finals.at(-1);
  const goesOn = last !== undefined && /^[\d*#A-D]+$/u.test(last);
  const finals = goesOn ? [...turn.finals.slice(0, -1), last + digit] : [...turn.finals, digit];
  return { ...turn, finals, settled: true };
}

/** The log's line for a stage that failed this turn. */
export function failure(state: CallState, stage: 'stt' | 'llm' | 'tts', code: string): CallEventBody {
  return { type: 'turn-failed', turn: state.turnNumber, stage, code };
}

function withTurn(state: CallState, turn: CallerTurn, nowMs: number): CallState {
  return { ...state, turn, quietSinceMs: nowMs };
}

/** What a recogniser that decides turns guesses of its whole turn replaces what was heard of that turn piecemeal. */
function modelGuesses(state: CallState, interim: string, modelTurn: 'open' | 'likely', nowMs: number): CallState {
  const turn = { ...withInterim(state.turn, interim, nowMs), settled: false, transcriptAtMs: nowMs, modelTurn };
  return withTurn({ ...state, modelDecides: true }, turn, nowMs);
}

/** Its last word on that turn; turns before it, still unanswered, stay. */
function modelEnds(state: CallState, text: string, nowMs: number): CallState {
  const turn: CallerTurn = {
    ...withFinal(state.turn, text, nowMs),
    interim: '',
    guessTold: NOTHING_TOLD,
    lostGuess: '',
    settled: true,
    transcriptAtMs: nowMs,
    modelTurn: 'ended',
  };
  return withTurn({ ...state, modelDecides: true }, turn, nowMs);
}

/**
 * Whether a transcript belongs to the turn that was answered already: no new sound has been heard since, and it says nothing
 * that was not known then. (Deepgram's final may follow a turn that was confirmed on its interim.)
 */
function isLate(state: CallState, text: string): boolean {
  if (state.turn.voice.type !== 'silent' || state.lastTurnText === '' || state.phase.type === 'listening') return false;
  return ` ${normaliseTranscript(state.lastTurnText)} `.includes(` ${normaliseTranscript(text)} `);
}

function isIgnored({ turn, ignoredVoiceMs }: CallState): boolean {
  const same = turn.voice.type === 'speaking' && turn.voice.startedAtMs === ignoredVoiceMs;
  return same && turn.finals.length === 0 && turn.interim === '';
}

function endVoice(turn: CallerTurn, endedAtMs: number, nowMs: number): CallerTurn {
  if (turn.voice.type !== 'speaking') return turn;
  // A final after the true end of speech already covers the pause (the recogniser saw it before our detector did).
  const settled = turn.settled && turn.transcriptAtMs !== undefined && turn.transcriptAtMs >= endedAtMs;
  const { startedAtMs } = turn.voice;
  return { ...turn, voice: { type: 'paused', startedAtMs, endedAtMs, detectedAtMs: nowMs }, settled };
}

function emitTranscript(text: string, final: boolean, confidence: number, actions: Action[]): void {
  actions.push({ type: 'emit', event: { type: 'transcript', text, final, confidence } });
}
