/** Invariant 3, on the wire itself: clears, resumes, and how far ahead audio is sent. */
import type { CallEvent } from '../../../src/pipeline/events.ts';
import { BYTES_PER_MS } from '../../../src/media/call-port.ts';
import type { Speech } from '../far-side.ts';
import type { Run } from '../sample-code.ts';
import type { Check, CheckContext } from './check.ts';
import { newsAgeMs, stallMs } from './check.ts';
import { belongsTo } from './message.ts';

/** The pacer's lead of 400 ms, and a frame. */
const MAX_AHEAD_MS = 421;
/** A word is not longer. */
const WORD_MS = 1_000;
/** How soon after a resume audio flows, when there is some. */
const FLOW_MS = 300;

export class WireCheck implements Check {
  readonly #context: CheckContext;
  /** When the far buffer runs empty, if the network took no time. */
  #wireEndsAtMs = 0;
  #lastClearMs = -1;
  /** The agent must be silent on the wire from then on, unless a clear came in that moment. */
  #mustClear: { readonly atMs: number; readonly why: string } | undefined;
  #heldSinceMs: number | undefined;
  /** The speech that was on the wire when it was last cleared. */
  #held: Speech | undefined;
  /** The beginning of a message to which a resume went back, from what another voice went on with. */
  #goneBackTo: Speech | undefined;
  /** Runs after a hold that no resume has explained so far. */
  #unexplained: Speech[] = [];
  #heldAtMs = 0;
  #resumedAtMs = -1;
  #mustResumeAtMs: number | undefined;
  #mustFlow: { readonly byMs: number; readonly speech: Speech; readonly heardTo: number } | undefined;
  #ended = false;

  constructor(context: CheckContext) {
    this.#context = context;
  }

  onEvent(event: CallEvent): void {
    const nowMs = this.#context.nowMs();
    switch (event.type) {
      case 'interruption-suspected':
        this.#heldSinceMs = nowMs;
        // With nothing left to be played there is nothing to clear, but it is a hold all the same.
        this.#hold();
        this.#expectClear(event.type);
        return;
      case 'barge-in':
        this.#heldSinceMs = undefined;
        this.#expectClear(event.type);
        return;
      case 'false-interruption':
        this.#heldSinceMs = undefined;
        this.#mustResumeAtMs = nowMs;
        return;
      case 'resumed':
        this.#resumedAtMs = nowMs;
        this.#unexplained = [];
        this.#mustResumeAtMs = undefined;
        this.#expectFlow(nowMs);
        return;
      case 'agent-said': {
        const speech = this.#context.far.speeches.at(-1);
        if (speech) speech.over = true;
        this.#held = undefined;
        this.#heldSinceMs = undefined;
        this.#mustResumeAtMs = undefined;
        this.#mustFlow = undefined;
        if (event.interrupted) this.#expectClear('an interrupted agent-said');
        return;
      }
      case 'call-ended':
        this.#ended = true;
        this.#heldSinceMs = undefined;
        this.#mustFlow = undefined;
        this.#mustClear = undefined;
        return;
      default:
    }
  }

  onClear(): void {
    const nowMs = this.#context.nowMs();
    this.#wireEndsAtMs = Math.min(this.#wireEndsAtMs, nowMs);
    this.#lastClearMs = nowMs;
    this.#hold();
  }

  onRun(run: Run, speech: Speech | undefined, kind: 'begins' | 'continues' | 'jumps'): void {
    const { far, fail } = this.#context;
    const nowMs = this.#context.nowMs();
    if (this.#ended) fail('end', 'audio on the wire after the end of the call');
    this.#wireEndsAtMs = Math.max(this.#wireEndsAtMs, nowMs) + run.samples / BYTES_PER_MS;
    if (this.#wireEndsAtMs - nowMs > MAX_AHEAD_MS) {
      fail('lead', `${Math.round(this.#wireEndsAtMs - nowMs)} ms of audio sent ahead of real time`);
    }
    if (!speech) return fail('clear', `${run.samples} samples on the wire that no synthesiser made`);
    if (speech.over)
      return fail('clear', `audio of take ${speech.take.id} after it was retired, at ${run.from / BYTES_PER_MS} ms`);
    const last = far.speeches.at(-1);
    // After a resume the ear may be where another voice had not yet gone on.
    const goesBack = last !== undefined && this.#held === last && belongsTo(last, speech);
    if (goesBack) this.#goneBackTo = speech;
    if (last !== speech && this.#goneBackTo !== speech)
      return fail('clear', `audio of take ${speech.take.id} after a later one`);
    const flowing = this.#mustFlow?.speech;
    if (flowing && (flowing === speech || belongsTo(flowing, speech))) this.#mustFlow = undefined;
    if (this.#held === speech || goesBack) {
      this.#held = undefined;
      if (this.#resumedAtMs < this.#heldAtMs) this.#unexplained.push(speech);
      this.#checkResume(speech, run.from);
    } else if (kind === 'jumps') {
      fail(
        'resume',
        `take ${speech.take.id} jumps from ${speech.sentTo / BYTES_PER_MS} to ${run.from / BYTES_PER_MS} ms`,
      );
    }
  }

  settle(nowMs: number): void {
    const { agent, far, fail } = this.#context;
    if (this.#mustClear && this.#lastClearMs < this.#mustClear.atMs) {
      fail('clear', `no clear on the wire at ${this.#mustClear.why}, with audio still to be played`);
    }
    this.#mustClear = undefined;
    for (const speech of this.#unexplained)
      fail('clear', `audio of take ${speech.take.id} after its clear, and no resume`);
    this.#unexplained = [];
    if (this.#mustResumeAtMs !== undefined && this.#mustResumeAtMs < nowMs) {
      fail('resume', 'a false interruption was not followed by a resume');
    }
    if (this.#heldSinceMs !== undefined && nowMs - this.#heldSinceMs > agent.turnTaking.falseAlarmMs + 100) {
      fail('hold', `the agent has been held for ${Math.round(nowMs - this.#heldSinceMs)} ms`);
    }
    const flow = this.#mustFlow;
    if (flow && far.port.isCongested()) this.#mustFlow = { ...flow, byMs: nowMs + FLOW_MS };
    else if (flow && nowMs > flow.byMs) {
      if (flow.speech.take.delivered > flow.heardTo + WORD_MS * BYTES_PER_MS) {
        fail('resume', `take ${flow.speech.take.id} was resumed, and nothing more of it was sent`);
      } else this.#mustFlow = undefined;
    }
  }

  #hold(): void {
    const speech = this.#context.far.speeches.at(-1);
    if (!speech || speech.over) return;
    this.#held = speech;
    this.#mustFlow = undefined;
    this.#heldAtMs = this.#context.nowMs();
    this.#resumedAtMs = -1;
  }

  #expectClear(why: string): void {
    const nowMs = this.#context.nowMs();
    if (this.#wireEndsAtMs > nowMs + 1) this.#mustClear ??= { atMs: nowMs, why };
  }

  #expectFlow(nowMs: number): void {
    const { far } = this.#context;
    const speech = this.#held;
    if (speech) this.#mustFlow = { byMs: nowMs + FLOW_MS, speech, heardTo: far.heardTo(speech, nowMs) };
  }

  /** No audio is lost, at most the clause in which the ear was is repeated, and it begins at a word. */
  #checkResume(speech: Speech, from: number): void {
    const { far, profile, fail } = this.#context;
    const { take } = speech;
    const heardTo = far.heardTo(speech, this.#context.nowMs());
    const ms = (samples: number) => Math.round(samples / BYTES_PER_MS);
    const lost = from - heardTo - (40 + stallMs(profile)) * BYTES_PER_MS;
    if (lost > 0) fail('resume', `take ${take.id}: heard to ${ms(heardTo)} ms, resumed at ${ms(from)} ms`);
    const believed = Math.max(0, heardTo - newsAgeMs(profile) * BYTES_PER_MS);
    const clause = take.pieces.find((piece) => believed < piece.to) ?? take.pieces.at(-1);
    if (clause && from < clause.from) {
      fail('resume', `take ${take.id}: heard to ${ms(heardTo)} ms, more than a clause repeated from ${ms(from)} ms`);
    }
    const inside = take.words.find((word) => from > word.from + 16 && from < word.to - 16);
    if (take.spans === 'words' && inside) fail('resume', `take ${take.id}: resumed inside the word "${inside.word}"`);
  }
}
