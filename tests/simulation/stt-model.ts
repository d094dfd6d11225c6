/** Seeded recognisers: they know the words of the audio they are given, and say so as late, as often and as reliably as their profile has it. */
import type { Timer, VirtualClock } from '../../src/core/clock.ts';
import { BvraiError } from '../../src/core/errors.ts';
import { FRAME_MS } from '../../src/media/call-port.ts';
import type {
  Sink,
  SttCapabilities,
  SttPart,
  SttProvider,
  SttStream,
  TranscribedWord,
} from '../../src/pipeline/providers/spec.ts';
import type { CallerVoice, Sound } from './caller-voice.ts';
import { frameEndMs, frameNumbers } from './caller-voice.ts';
import type { SttProfile } from './profile.ts';
import { Random, seedOf } from './random.ts';
import { misheard } from './words.ts';

export interface SttModelOptions {
  readonly name: string;
  readonly seed: number;
  readonly clock: VirtualClock;
  readonly voice: CallerVoice;
  readonly profile: SttProfile;
}

/** What a recogniser that takes turns waits after the last word before it is fairly, and quite, sure. */
const LIKELY_AFTER_MS = 250;
const ENDED_AFTER_MS = 600;
const UTTERANCE_ENDED_AFTER_MS = 1_000;
/** A final comes at the latest after this many words. */
const MAX_WORDS_OPEN = 8;

export class SttModel implements SttProvider {
  readonly name: string;
  readonly capabilities: SttCapabilities;
  openStreams = 0;
  readonly #options: SttModelOptions;
  #opened = 0;

  constructor(options: SttModelOptions) {
    this.name = options.name;
    this.capabilities = { decidesTurns: () => options.profile.model === 'turns' };
    this.#options = options;
  }

  open(_request: unknown, sink: Sink<SttPart>): SttStream {
    this.openStreams++;
    const random = new Random(seedOf(this.#options.seed, this.name, this.#opened++));
    return new Recognition(this.#options, random, sink, () => this.openStreams--);
  }
}

class Recognition implements SttStream {
  readonly #clock: VirtualClock;
  readonly #profile: SttProfile;
  readonly #voice: CallerVoice;
  readonly #random: Random;
  readonly #sink: Sink<SttPart>;
  readonly #onClose: () => void;
  readonly #timers = new Set<Timer>();
  #closed = false;
  #firstFrame: number | undefined;
  #lastFrame = -1;
  #nextSound = 0;
  /** Words heard and not yet in a final (or, for turns, of the turn that is open). */
  #open: Sound[] = [];
  #lastWordEndMs = 0;
  #lastSentMs = 0;
  #likelySent = false;
  #utteranceOpen = false;

  constructor(options: SttModelOptions, random: Random, sink: Sink<SttPart>, onClose: () => void) {
    this.#clock = options.clock;
    this.#profile = options.profile;
    this.#voice = options.voice;
    this.#random = random;
    this.#sink = sink;
    this.#onClose = onClose;
    this.#send({ type: 'stream-opened' }, 60);
  }

  write(audio: Uint8Array): void {
    if (this.#closed) return;
    for (const number of frameNumbers(audio)) this.#hear(number);
  }

  hint(voice: 'speech-started' | 'speech-ended'): void {
    if (this.#closed || voice !== 'speech-ended' || this.#profile.model === 'turns') return;
    if (this.#random.chance(this.#profile.noAnswer)) return;
    if (this.#open.length > 0) this.#final(false, true);
    else if (this.#random.chance(this.#profile.emptyFinal)) this.#send(final('', [], false, true), this.#latency());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#onClose();
  }

  #hear(number: number): void {
    if (number <= this.#lastFrame) return;
    if (this.#firstFrame === undefined) {
      this.#firstFrame = number;
      // Half a word at the beginning is not recognised.
      while ((this.#voice.sounds[this.#nextSound]?.startMs ?? Infinity) < number * FRAME_MS - 60) this.#nextSound++;
    }
    this.#lastFrame = number;
    const positionMs = frameEndMs(number);
    const { failsAfterMs } = this.#profile;
    if (failsAfterMs !== undefined && positionMs >= failsAfterMs) return this.#fail();
    for (let sound = this.#next(positionMs); sound; sound = this.#next(positionMs)) this.#word(sound);
    if (this.#profile.model === 'turns') this.#judgeTurn(positionMs);
    else this.#judgePause(positionMs);
  }

  /** The next sound that has been heard whole. */
  #next(positionMs: number): Sound | undefined {
    const sound = this.#voice.sounds[this.#nextSound];
    if (!sound || sound.endMs > positionMs) return undefined;
    this.#nextSound++;
    return sound;
  }

  #word(sound: Sound): void {
    if (sound.kind !== 'word' || this.#random.chance(this.#profile.deafToWord)) return;
    if (this.#profile.model === 'turns' && this.#likelySent) {
      this.#likelySent = false;
      this.#send({ type: 'turn-resumed' }, this.#latency());
    }
    this.#open.push(sound);
    this.#lastWordEndMs = sound.endMs;
    this.#utteranceOpen = true;
    const guess = this.#random.chance(this.#profile.secondThoughts)
      ? [...this.#open.slice(0, -1), { ...sound, text: misheard(sound.text) }]
      : this.#open;
    this.#send({ type: 'transcript-interim', text: written(guess), confidence: 0.8 }, this.#latency());
    if (this.#profile.model === 'finals' && this.#open.length >= MAX_WORDS_OPEN) this.#final(false, false);
  }

  #judgePause(positionMs: number): void {
    const pauseMs = positionMs - this.#lastWordEndMs;
    if (this.#open.length > 0 && pauseMs >= this.#profile.endpointMs) this.#final(true, false);
    if (this.#utteranceOpen && pauseMs >= UTTERANCE_ENDED_AFTER_MS) {
      this.#utteranceOpen = false;
      this.#send({ type: 'utterance-ended' }, this.#latency());
    }
  }

  #judgeTurn(positionMs: number): void {
    if (this.#open.length === 0) return;
    const pauseMs = positionMs - this.#lastWordEndMs;
    const text = written(this.#open);
    const closed = this.#open.at(-1)?.closes ?? false;
    if (!this.#likelySent && pauseMs >= LIKELY_AFTER_MS) {
      this.#likelySent = true;
      this.#send({ type: 'turn-end-likely', text }, this.#latency());
    }
    if (pauseMs >= (closed ? ENDED_AFTER_MS : 2 * ENDED_AFTER_MS)) {
      const words = this.#profile.wordTimes ? this.#timings() : [];
      this.#open = [];
      this.#likelySent = false;
      this.#send({ type: 'turn-ended', text, confidence: 0.9, words }, this.#latency());
    }
  }

  #final(speechFinal: boolean, fromFinalize: boolean): void {
    const random = this.#random;
    const part = final(written(this.#open), this.#timings(), speechFinal, fromFinalize);
    this.#open = [];
    if (random.chance(this.#profile.missingFinal)) return;
    const lateMs = random.chance(this.#profile.late) ? random.between(300, 2_500) : 0;
    const delayMs = this.#latency() + lateMs;
    if (random.chance(this.#profile.reordered))
      this.#sendAt(part, this.#clock.nowMs() + delayMs + random.between(0, 600));
    else this.#send(part, delayMs);
    if (random.chance(this.#profile.duplicate)) this.#send(part, delayMs + random.between(0, 300));
  }

  #timings(): TranscribedWord[] {
    const startMs = (this.#firstFrame ?? 0) * FRAME_MS;
    return this.#open.map((sound) => ({
      text: sound.text,
      startMs: sound.startMs - startMs,
      endMs: sound.endMs - startMs,
      confidence: 0.9,
    }));
  }

  #latency(): number {
    return this.#random.latency(this.#profile.latencyMs, 0.3, 1_500);
  }

  /** A dead stream has let go of everything by itself. It is reported later, never from within `write`. */
  #fail(): void {
    const sink = this.#sink;
    this.#lastFrame = Number.POSITIVE_INFINITY;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    const timer = this.#clock.after(1, () => {
      if (this.#closed) return;
      this.close();
      sink({ type: 'stream-failed', error: new BvraiError('provider.closed', 'simulated') });
    });
    this.#timers.add(timer);
  }

  /** In order. */
  #send(part: SttPart, delayMs: number): void {
    this.#lastSentMs = Math.max(this.#lastSentMs, this.#clock.nowMs() + delayMs);
    this.#sendAt(part, this.#lastSentMs);
  }

  #sendAt(part: SttPart, atMs: number): void {
    const { muteAfterMs } = this.#profile;
    if (muteAfterMs !== undefined && atMs >= muteAfterMs) return;
    const timer = this.#clock.after(atMs - this.#clock.nowMs(), () => {
      this.#timers.delete(timer);
      if (!this.#closed) this.#sink(part);
    });
    this.#timers.add(timer);
  }
}

function final(text: string, words: TranscribedWord[], speechFinal: boolean, fromFinalize: boolean): SttPart {
  return { type: 'transcript-final', text, confidence: text === '' ? 0 : 0.9, words, speechFinal, fromFinalize };
}

/** Words as a recogniser writes them: sentences begin with a capital and end with a full stop. */
function written(sounds: readonly Sound[]): string {
  const texts = sounds.map(({ text, closes }) => (closes ? `${text}.` : text));
  const text = texts.join(' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
