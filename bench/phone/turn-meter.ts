/** Measures, at the caller's ear, how long each answer took to begin and each interrupted agent to fall silent. */

/** A pause this long ends a stretch of agent speech. */
const QUIET_MS = 400;
/** An agent heard this shortly before the caller began was still talking (between two words, say). */
const STILL_TALKING_MS = 250;

/** One thing the caller said. Times are milliseconds since the stream began. */
export interface Utterance {
  readonly index: number;
  readonly label: string;
  /** First and last moment of true speech, from the audio's energy. */
  readonly startMs: number;
  readonly endMs: number;
  /** When the answer's first audible sample reached the ear. */
  replyMs?: number;
  /** True speech end → first audible sample of the answer. Negative when the agent began before the caller was done. */
  voiceToVoiceMs?: number;
  /** Only when the caller spoke while the agent was audible: speech onset → the agent's last audible sample. */
  bargeInStopMs?: number;
}

/** What the agent's audio has meant so far for one utterance. */
type Phase =
  | { readonly kind: 'waiting' }
  /** The caller spoke over the agent, and the old speech may still be going on. */
  | { readonly kind: 'old-speech' }
  /** The agent began at `sinceMs`, while the caller was still speaking. */
  | { readonly kind: 'early'; readonly sinceMs: number }
  | { readonly kind: 'answered' };

/** Fed with the caller's utterances and the agent's audible stretches in order of time; holds no clock. */
export class TurnMeter {
  readonly utterances: Utterance[] = [];
  readonly #onReply: (utterance: Utterance) => void;
  /** Phase of the utterance being answered, and which one that is. */
  #phase: Phase = { kind: 'waiting' };
  #phaseOf = -1;
  #lastAudibleMs: number | undefined;
  #lastClearMs = -Infinity;

  constructor(onReply: (utterance: Utterance) => void) {
    this.#onReply = onReply;
  }

  /** When the agent was last audible at the ear. */
  get lastAudibleMs(): number | undefined {
    return this.#lastAudibleMs;
  }

  /** Registers speech whose edges are known, possibly before its moment has come. */
  addUtterance(label: string, startMs: number, endMs: number): Utterance {
    const utterance: Utterance = { index: this.utterances.length, label, startMs, endMs };
    this.utterances.push(utterance);
    return utterance;
  }

  /**
   * The playback buffer was emptied: what is heard later was sent later. An agent that happened to be between two words when
   * the caller began, or heard the breath before, and is not heard after that, was interrupted all the same: it stopped at once.
   */
  onClear(atMs: number): void {
    this.#lastClearMs = atMs;
    const utterance = this.utterances.findLast((candidate) => candidate.startMs <= atMs + STILL_TALKING_MS);
    const lastAudibleMs = this.#lastAudibleMs;
    if (!utterance || lastAudibleMs === undefined || lastAudibleMs >= utterance.startMs) return;
    if (lastAudibleMs >= utterance.startMs - STILL_TALKING_MS) utterance.bargeInStopMs = 0;
  }

  /** A short block (≤ 20 ms) of agent audio whose first and last audible samples were heard at these moments. */
  onAudible(firstMs: number, lastMs: number): void {
    const previousMs = this.#lastAudibleMs;
    this.#lastAudibleMs = lastMs;
    const utterance = this.utterances.findLast((candidate) => candidate.startMs <= firstMs);
    if (!utterance) return;
    if (utterance.index !== this.#phaseOf) {
      this.#phaseOf = utterance.index;
      this.#phase = { kind: 'waiting' };
    }
    const sameStretch =
      previousMs !== undefined &&
      firstMs - previousMs < QUIET_MS &&
      !(this.#lastClearMs > previousMs && this.#lastClearMs <= firstMs);
    this.#advance(utterance, firstMs, lastMs, sameStretch ? previousMs : undefined);
  }

  #advance(utterance: Utterance, firstMs: number, lastMs: number, stretchMs: number | undefined): void {
    const duringSpeech = firstMs <= utterance.endMs;
    switch (this.#phase.kind) {
      case 'waiting':
        if (stretchMs !== undefined && stretchMs >= utterance.startMs - STILL_TALKING_MS) {
          this.#phase = { kind: 'old-speech' };
          utterance.bargeInStopMs = lastMs - utterance.startMs;
        } else if (duringSpeech) {
          this.#phase = { kind: 'early', sinceMs: firstMs };
        } else {
          this.#answer(utterance, firstMs);
        }
        return;
      case 'old-speech':
        // Agent speech that comes back while the caller still talks is not an answer: the agent had not stopped.
        if (stretchMs !== undefined || duringSpeech) utterance.bargeInStopMs = lastMs - utterance.startMs;
        else this.#answer(utterance, firstMs);
        return;
      case 'early':
        if (stretchMs === undefined) {
          if (duringSpeech) this.#phase = { kind: 'early', sinceMs: firstMs };
          else this.#answer(utterance, firstMs);
        } else if (!duringSpeech) {
          this.#answer(utterance, this.#phase.sinceMs);
        }
        return;
      case 'answered':
        return;
      default:
        this.#phase satisfies never;
    }
  }

  #answer(utterance: Utterance, replyMs: number): void {
    this.#phase = { kind: 'answered' };
    utterance.replyMs = replyMs;
    utterance.voiceToVoiceMs = replyMs - utterance.endMs;
    this.#onReply(utterance);
  }
}
