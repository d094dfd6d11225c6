/** An ordered route of recognisers that looks like one. */
import { BvraiError } from '../../core/errors.ts';
import { RingBuffer } from '../../core/ring-buffer.ts';
import { BYTES_PER_MS } from '../../media/call-port.ts';
import type {
  Sink,
  SttPart,
  SttProvider,
  SttRequest,
  SttStream,
  StreamContext,
  TranscribedWord,
} from '../providers/spec.ts';
import type { Candidate } from './route.ts';
import { Watchdog, deadlineError } from './route.ts';

/**
 * A recogniser may rightly say nothing about a cough. Only of speech at least this long, by the local detector, does silence
 * mean that the recogniser is dead.
 */
const SURELY_SPEECH_MS = 600;
/** Audio kept for a successor: what the caller said around a failure is not lost. */
const REPLAY_MS = 3_000;

export interface SttDeadlines {
  /** From the local detector's end of speech until a recogniser that has said nothing at all of it counts as dead. */
  readonly finalMs: number;
}

/**
 * One recogniser serves the call until it fails or stays silent about clear speech; then the next one does, beginning with the last
 * seconds of the caller's audio. `stream-failed` means that none is left.
 */
export function sttRoute(candidates: readonly Candidate<SttProvider>[], deadlines: SttDeadlines): SttProvider {
  return {
    name: candidates.map(({ provider }) => provider.name).join(', '),
    open: (request, sink, context) => new RoutedRecognition(candidates, deadlines, request, sink, context),
  };
}

class RoutedRecognition implements SttStream {
  readonly #candidates: readonly Candidate<SttProvider>[];
  readonly #deadlines: SttDeadlines;
  readonly #request: SttRequest;
  readonly #sink: Sink<SttPart>;
  readonly #context: StreamContext;
  readonly #watchdog: Watchdog;
  readonly #replay = new RingBuffer(REPLAY_MS * BYTES_PER_MS);
  #index = -1;
  #stream: SttStream | undefined;
  /** The last hint, as long as the recogniser has said nothing since: a successor must be given it, and the audio, too. */
  #owed: 'speech-started' | 'speech-ended' | undefined;
  #speechStartedAtMs = 0;
  /** Positions in the caller's audio: where the current stream began, and up to where words have been told. */
  #streamFromByte = 0;
  #answeredByte = 0;
  #closed = false;

  constructor(
    candidates: readonly Candidate<SttProvider>[],
    deadlines: SttDeadlines,
    request: SttRequest,
    sink: Sink<SttPart>,
    context: StreamContext,
  ) {
    this.#candidates = candidates;
    this.#deadlines = deadlines;
    this.#request = request;
    this.#sink = sink;
    this.#context = context;
    this.#watchdog = new Watchdog(context.clock);
    this.#openNext(new BvraiError('provider.unavailable', 'the route has no recogniser'));
  }

  write(audio: Uint8Array): void {
    if (this.#closed) return;
    this.#replay.write(audio);
    this.#stream?.write(audio);
  }

  hint(voice: 'speech-started' | 'speech-ended'): void {
    if (this.#closed) return;
    const nowMs = this.#context.clock.nowMs();
    // Speech after a pause that nothing was said of is part of what is owed already.
    if (voice === 'speech-started' && !this.#owed) this.#speechStartedAtMs = nowMs;
    if (voice === 'speech-started' || this.#owed) this.#owed = voice;
    this.#stream?.hint(voice);
    if (nowMs - this.#speechStartedAtMs >= SURELY_SPEECH_MS && !this.#watchdog.running) this.#watch();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watchdog.stop();
    this.#stream?.close();
  }

  #watch(): void {
    this.#watchdog.stop();
    if (this.#owed !== 'speech-ended') return;
    const index = this.#index;
    this.#watchdog.restart(this.#deadlines.finalMs, () => {
      const name = this.#candidates[index]?.provider.name ?? 'unknown';
      this.#onFailure(deadlineError('first', name, this.#deadlines.finalMs));
    });
  }

  #openNext(reason: BvraiError): void {
    const index = ++this.#index;
    this.#stream?.close();
    this.#stream = undefined;
    const candidate = this.#candidates[index];
    if (!candidate) {
      this.close();
      return this.#sink({ type: 'stream-failed', error: reason });
    }
    const { provider, entry } = candidate;
    const request = { ...this.#request, model: entry.model, options: entry.options };
    this.#streamFromByte = this.#replay.writtenBytes;
    this.#stream = provider.open(request, (part) => this.#onPart(index, part), this.#context);
    if (this.#owed) this.#repeatTurn(this.#stream, this.#owed);
  }

  #repeatTurn(stream: SttStream, owed: 'speech-started' | 'speech-ended'): void {
    stream.hint('speech-started');
    const audio = this.#replay.newest(this.#replay.writtenBytes - this.#answeredByte);
    this.#streamFromByte = this.#replay.writtenBytes - audio.length;
    stream.write(audio);
    if (owed === 'speech-ended') stream.hint('speech-ended');
    this.#watch();
  }

  #onPart(index: number, part: SttPart): void {
    if (this.#closed || index !== this.#index) return;
    if (part.type === 'stream-failed') return this.#onFailure(part.error);
    if (part.type !== 'stream-opened') {
      this.#owed = undefined;
      this.#watchdog.stop();
    }
    if (part.type === 'transcript-final' && part.text !== '') this.#markAnswered(part.words);
    if (part.type === 'turn-ended') this.#markAnswered([]);
    this.#sink(part);
  }

  /** What has been told is not to be recognised again by a successor: its audio ends with its last word. */
  #markAnswered(words: readonly TranscribedWord[]): void {
    const endMs = words.at(-1)?.endMs;
    const byte =
      endMs === undefined ? this.#replay.writtenBytes : this.#streamFromByte + Math.ceil(endMs * BYTES_PER_MS);
    this.#answeredByte = Math.min(byte, this.#replay.writtenBytes);
  }

  #onFailure(error: BvraiError): void {
    const provider = this.#candidates[this.#index]?.provider.name;
    this.#context.log.warn({ stage: 'stt', provider, code: error.code, reason: error.message }, 'provider failed');
    this.#openNext(error);
  }
}
