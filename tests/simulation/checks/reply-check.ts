/** Invariant 1: a caller who spoke gets a reply, or the log says why not, in time; and the line never falls silent for good. */
import type { VadEvent } from '../../../src/media/vad/vad.ts';
import type { CallEvent } from '../../../src/pipeline/events.ts';
import type { SttPart } from '../../../src/pipeline/providers/spec.ts';
import { fixedPhrases } from '../../../src/pipeline/fixed-phrases.ts';
import { END_CALL } from '../../../src/pipeline/session/tools.ts';
import type { Speech } from '../far-side.ts';
import type { Run } from '../sample-code.ts';
import { callerWordsIn, isAgentWord } from '../words.ts';
import type { Check, CheckContext } from './check.ts';
import { stallMs } from './check.ts';

/** After the last word, transcript and sound: the longest wait for words to be complete, and for a late transcript. */
const CONFIRM_MS = 4_500;
/** The same with a recogniser that decides itself, whose decision may be lost. */
const MODEL_CONFIRM_MS = 6_000;
/** What a deadline may be missed by: the way to the ear, and a filler that was just being said. */
const SLACK_MS = 2_000;
/** The caller goes on talking: then the turn was not over, and the reply may be taken back. */
const VOICE_MS = 32;

export class ReplyCheck implements Check {
  readonly #context: CheckContext;
  readonly #filler: string;
  /** Words recognised that no confirmed turn holds yet, and since when. */
  readonly #owed = new Map<string, number>();
  #interim: string[] = [];
  readonly #taken = new Set<string>();
  /** A confirmed turn that nothing has answered yet. */
  #unanswered: { readonly turn: number; readonly sinceMs: number; readonly reopened: boolean } | undefined;
  #lastNewsMs = 0;
  #voice: { readonly startedAtMs: number; speechMs: number } | undefined;
  #lastVoiceMs = 0;
  #lastAlarmMs = -1;
  #leaving = false;
  #ended = false;

  constructor(context: CheckContext) {
    this.#context = context;
    this.#filler = fixedPhrases(context.agent.language).filler;
  }

  onTranscript(part: SttPart): void {
    const nowMs = this.#context.nowMs();
    switch (part.type) {
      case 'transcript-interim':
      case 'turn-end-likely':
        this.#forgetInterim();
        this.#interim = this.#owe(part.text, nowMs);
        return;
      case 'transcript-final':
      case 'turn-ended':
        if (part.text === '') return;
        this.#forgetInterim();
        this.#owe(part.text, nowMs);
        return;
      default:
    }
  }

  onVoice(event: VadEvent): void {
    this.#lastVoiceMs = this.#context.nowMs();
    if (event.type === 'speech-started') this.#voice = { startedAtMs: this.#lastVoiceMs, speechMs: 0 };
    else if (event.type === 'speech-ended') this.#voice = undefined;
    else if (this.#voice && event.type === 'speech-continued') this.#voice.speechMs = event.speechMs;
    // Speech that goes on takes an unheard reply back, and its turn must be confirmed again.
    if (!this.#unanswered || event.type === 'speech-ended') return;
    const { turn, sinceMs } = this.#unanswered;
    if (this.#lastVoiceMs > sinceMs + VOICE_MS) this.#unanswered = { turn, sinceMs: this.#lastVoiceMs, reopened: true };
  }

  onEvent(event: CallEvent): void {
    const nowMs = this.#context.nowMs();
    switch (event.type) {
      case 'turn-confirmed':
        this.#take(event.text);
        this.#unanswered = { turn: event.turn, sinceMs: nowMs, reopened: false };
        break;
      case 'false-interruption':
        this.#lastAlarmMs = nowMs;
        break;
      case 'turn-failed':
      case 'barge-in':
        this.#unanswered = undefined;
        break;
      // A key takes an unheard reply back like a word.
      case 'dtmf':
        if (this.#unanswered) this.#unanswered = { ...this.#unanswered, sinceMs: nowMs, reopened: true };
        break;
      case 'tool-called':
        this.#leaving ||= event.name === END_CALL;
        break;
      case 'call-ended':
        this.#ended = true;
        this.#unanswered = undefined;
        break;
      default:
        return;
    }
    this.#lastNewsMs = nowMs;
  }

  onRun(run: Run, speech: Speech | undefined): void {
    if (!speech || !this.#unanswered) return;
    const piece = speech.take.pieces.find(({ to }) => run.from + run.samples <= to);
    if (piece && piece.text.trim() === this.#filler) return;
    this.#unanswered = undefined;
  }

  settle(nowMs: number): void {
    if (this.#ended) return;
    this.#checkOwed(nowMs);
    this.#checkUnanswered(nowMs);
    this.#checkSilence(nowMs);
    this.#checkTalkOver(nowMs);
  }

  #owe(text: string, nowMs: number): string[] {
    const words = callerWordsIn(text).filter((word) => !this.#taken.has(word) && !this.#owed.has(word));
    for (const word of words) this.#owed.set(word, nowMs);
    this.#lastNewsMs = nowMs;
    return words;
  }

  /** A guess of the recogniser's that a later one replaces. */
  #forgetInterim(): void {
    for (const word of this.#interim) this.#owed.delete(word);
    this.#interim = [];
  }

  #take(text: string): void {
    for (const word of callerWordsIn(text)) {
      this.#owed.delete(word);
      this.#taken.add(word);
    }
  }

  #checkOwed(nowMs: number): void {
    if (this.#owed.size === 0 || this.#unanswered) return;
    const { far, fail } = this.#context;
    const quietSinceMs = Math.max(this.#lastNewsMs, this.#lastVoiceMs, far.lastAudibleMs(nowMs));
    if (nowMs - quietSinceMs > this.#confirmMs() + SLACK_MS) {
      fail('reply', `nothing came of the caller's words "${[...this.#owed.keys()].join(' ')}"`);
    }
  }

  #checkUnanswered(nowMs: number): void {
    if (!this.#unanswered) return;
    const { agent, far, fail } = this.#context;
    const { turn, sinceMs, reopened } = this.#unanswered;
    if (far.port.isCongested()) this.#unanswered = { turn, sinceMs: sinceMs + 20, reopened };
    const waitedMs = nowMs - sinceMs;
    if (waitedMs > agent.turnTaking.turnDeadlineMs + (reopened ? this.#confirmMs() : 0) + SLACK_MS) {
      fail('reply', `turn ${turn}: no reply and no reason for ${Math.round(waitedMs)} ms`);
    }
  }

  #confirmMs(): number {
    return this.#context.profile.stt.some(({ model }) => model === 'turns') ? MODEL_CONFIRM_MS : CONFIRM_MS;
  }

  #checkSilence(nowMs: number): void {
    const { agent, far, voice, fail } = this.#context;
    if (agent.silence.maxReminders === 0) return;
    const lastMs = Math.max(
      this.#lastNewsMs,
      this.#lastVoiceMs,
      far.lastAudibleMs(nowMs),
      Math.min(nowMs, voice.endsAtMs),
    );
    if (nowMs - lastMs > agent.silence.reminderAfterMs + agent.turnTaking.turnDeadlineMs + 5_000) {
      fail('silence', `nobody has said anything for ${Math.round(nowMs - lastMs)} ms`);
    }
  }

  /** Speech that began while a reply of the model was being heard, and was no false alarm, silences it. */
  #checkTalkOver(nowMs: number): void {
    const { agent, far, profile, fail } = this.#context;
    const speech = far.speeches.at(-1);
    if (!this.#voice || !speech || speech.over || this.#leaving || agent.turnTaking.neverInterrupt.length > 0) return;
    if (!speech.take.words.some(({ word }) => isAgentWord(word)) || speech.firstSentAtMs >= this.#voice.startedAtMs)
      return;
    if (this.#lastAlarmMs >= this.#voice.startedAtMs) return;
    if (this.#voice.speechMs < 3 * agent.turnTaking.bargeInMs + 200) return;
    const sentEndsMs = far.lastAudibleMs(Number.POSITIVE_INFINITY);
    // A clear may be held up on its way.
    if (sentEndsMs > nowMs + 200 + stallMs(profile)) {
      fail(
        'talk-over',
        `take ${speech.take.id} goes on over ${Math.round(this.#voice.speechMs)} ms of the caller's speech`,
      );
    }
  }
}
