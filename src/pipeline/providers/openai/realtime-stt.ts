/** OpenAI's realtime transcription as a recogniser: μ-law up in JSON while the caller speaks, one commit per pause. */
import { RingBuffer } from '../../../core/ring-buffer.ts';
import type { SocketAddress } from '../dial.ts';
import type { Sink, StreamContext, SttPart, SttProvider, SttRequest, SttStream } from '../spec.ts';
import { SttSocket } from '../stt-socket.ts';
import type { VendorSettings } from '../socket.ts';
import { TranscriptItems } from './realtime-items.ts';
import {
  COMMIT,
  DEFAULT_TRANSCRIBER,
  MIN_COMMIT_MS,
  appendAudio,
  detectsTurns,
  malformed,
  parseRealtimeEvent,
  parseRealtimeRefusal,
  realtimeUrl,
  sessionUpdate,
} from './realtime-wire.ts';
import type { RealtimeEvent } from './realtime-wire.ts';
import { PROVIDER } from './wire.ts';

const BYTES_PER_MS = 8;
/** Ten seconds of audio in base64 and its wrapping: proof that the vendor is not reading. */
const MAX_QUEUED_BYTES = 140_000;
/**
 * Audio from before the hint that speech has begun: the hint lags by up to 300 ms, and the vendor's own detector too gives the
 * model 300 ms from before the onset.
 */
const PRE_ROLL_MS = 600;
/** Of an onset that the hint is late for: audio from so long before it, and that kept in all. */
const ONSET_ROOM_MS = 300;
const KEPT_MS = 5_000;
/** From a commit to its transcript; a second of audio takes about a quarter of one. */
const TRANSCRIPT_TIMEOUT_MS = 5_000;

/** How long a session may wait to be told what it is for; nothing is documented that would end it. */
const IDLE_MS = 20_000;

function addressOf(settings: VendorSettings): SocketAddress {
  const url = realtimeUrl(settings.baseUrl ?? 'https://api.openai.com/v1');
  return { provider: PROVIDER, url, headers: { authorization: `Bearer ${settings.apiKey}` } };
}

/** Speech-to-text by OpenAI's realtime API. `baseUrl` has `/v1`. Owns nothing between streams. */
export function createOpenAiStt(settings: VendorSettings): SttProvider {
  return {
    name: PROVIDER,
    capabilities: { mulawIn: true },
    open: (request, sink, context) => new RealtimeStream(settings, request, sink, context),
    prewarm(_request, wanted, connecting) {
      settings.dialler?.keepWarm(addressOf(settings), { idleMs: IDLE_MS, wanted, connecting });
    },
  };
}

/**
 * With a turn detection of the vendor's (an option of the route) audio flows all the time, and it commits. Without, the default,
 * our hints say when to commit, and only speech is sent, beginning with a pre-roll: what the model does not hear it cannot
 * make words of, the final does not wait for silence to be transcribed, and nobody pays for it. Decision 0028.
 */
class RealtimeStream implements SttStream {
  readonly #socket: SttSocket;
  readonly #items = new TranscriptItems();
  readonly #vendorDetects: boolean;
  readonly #preRoll = new RingBuffer(KEPT_MS * BYTES_PER_MS);
  #speaking = false;
  /** What of the pre-roll has been sent. */
  #sentUpToByte = 0;
  #uncommittedBytes = 0;
  /** Commits whose transcript has not come. */
  #awaited = 0;
  #ready = false;

  constructor(settings: VendorSettings, request: SttRequest, sink: Sink<SttPart>, context: StreamContext) {
    this.#vendorDetects = detectsTurns(request);
    this.#socket = new SttSocket(
      {
        provider: PROVIDER,
        model: request.model ?? DEFAULT_TRANSCRIBER,
        address: () => addressOf(settings),
        dialler: settings.dialler,
        connectTimeoutMs: settings.connectTimeoutMs,
        maxQueuedBytes: MAX_QUEUED_BYTES,
        parseRefusal: parseRealtimeRefusal,
      },
      { onOpen: () => this.#socket.awaitSession(), onText: (text) => this.#onEvent(parseRealtimeEvent(text)) },
      sink,
      context,
    );
    // Queued, so that it goes before any audio.
    this.#socket.send(sessionUpdate(request));
  }

  write(audio: Uint8Array): void {
    if (this.#socket.over || audio.length === 0) return;
    if (this.#vendorDetects || this.#speaking) return this.#append(audio);
    this.#preRoll.write(audio);
  }

  hint(voice: 'speech-started' | 'speech-ended', agoMs = 0): void {
    if (this.#socket.over || this.#vendorDetects) return;
    if (voice === 'speech-started') this.#begin(agoMs);
    else this.#commit();
  }

  close(): void {
    this.#socket.close();
  }

  #begin(agoMs: number): void {
    if (this.#speaking) return;
    this.#speaking = true;
    const preRollBytes = Math.ceil(Math.max(PRE_ROLL_MS, agoMs + ONSET_ROOM_MS)) * BYTES_PER_MS;
    const unsent = this.#preRoll.newest(Math.min(preRollBytes, this.#preRoll.writtenBytes - this.#sentUpToByte));
    this.#sentUpToByte = this.#preRoll.writtenBytes;
    if (unsent.length > 0) this.#append(unsent);
  }

  #append(audio: Uint8Array): void {
    this.#uncommittedBytes += audio.length;
    this.#socket.sendAudio(appendAudio(audio), audio.length);
  }

  #commit(): void {
    this.#speaking = false;
    // Too little to be taken: it stays in the vendor's buffer, before what is said next.
    if (this.#uncommittedBytes < MIN_COMMIT_MS * BYTES_PER_MS) return;
    this.#uncommittedBytes = 0;
    this.#socket.send(COMMIT);
    this.#await(1);
  }

  /** A commit has been made, or answered. While one is unanswered the vendor is being waited for. */
  #await(change: 1 | -1): void {
    this.#awaited = Math.max(0, this.#awaited + change);
    if (change === -1 || this.#awaited === 1) this.#watch();
  }

  #watch(): void {
    if (!this.#ready) return;
    if (this.#awaited === 0) return this.#socket.stopTimer();
    this.#socket.failAfter(TRANSCRIPT_TIMEOUT_MS, 'provider.timeout-gap', 'transcribe what was said');
  }

  #onEvent(event: RealtimeEvent): void {
    switch (event.type) {
      case 'ready':
        return this.#onReady();
      case 'speech-started':
        return this.#socket.tell({ type: 'speech-started' });
      case 'committed':
        this.#items.begin(event.itemId);
        if (this.#vendorDetects) this.#await(1);
        break;
      case 'delta': {
        const text = this.#items.append(event.itemId, event.text);
        if (text.trim() !== '') this.#socket.tell({ type: 'transcript-interim', text: text.trim(), confidence: 0 });
        break;
      }
      case 'completed':
        for (const item of this.#items.complete(event.itemId, event)) this.#tellFinal(item.text, item.confidence);
        break;
      case 'nothing-to-commit':
        return this.#tellFinal('', 0);
      case 'failed':
        return this.#socket.fail(event.error);
      case 'ignored':
        return;
    }
    if (this.#items.overflowed) this.#onEvent(malformed('more transcripts than anybody asked for'));
  }

  #onReady(): void {
    if (this.#ready) return;
    this.#ready = true;
    this.#socket.sessionBegun();
    this.#watch();
    this.#socket.tell({ type: 'stream-opened' });
  }

  #tellFinal(text: string, confidence: number): void {
    this.#await(-1);
    this.#socket.tell({
      type: 'transcript-final',
      text,
      confidence,
      words: [],
      speechFinal: this.#vendorDetects,
      fromFinalize: !this.#vendorDetects,
    });
  }
}
