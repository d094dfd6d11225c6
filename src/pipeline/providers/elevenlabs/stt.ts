/** ElevenLabs' Scribe as a recogniser: μ-law up in JSON all the time, one commit per pause. */
import { BvraiError } from '../../../core/errors.ts';
import { RingBuffer } from '../../../core/ring-buffer.ts';
import type { SocketAddress } from '../dial.ts';
import type { Sink, StreamContext, SttPart, SttProvider, SttRequest, SttStream } from '../spec.ts';
import { SttSocket } from '../stt-socket.ts';
import type { VendorSettings } from '../socket.ts';
import {
  COMMIT,
  DEFAULT_SCRIBE_MODEL,
  MIN_COMMIT_MS,
  audioChunk,
  parseScribeMessage,
  scribeUrl,
} from './scribe-wire.ts';
import type { ScribeMessage } from './scribe-wire.ts';
import { PROVIDER, codeOfClose, parseRefusal } from './wire.ts';

const BYTES_PER_MS = 8;
/** Ten seconds of audio in base64 and its wrapping: proof that the vendor is not reading. */
const MAX_QUEUED_BYTES = 170_000;
/** Audio that waits for the session. More than the connect deadline and a replay of the router's can bring. */
const MAX_HELD_MS = 10_000;
/** What was held is sent in pieces of this length. */
const HELD_CHUNK_MS = 500;
/** From a commit to its transcript; usually about 300 ms. */
const TRANSCRIPT_TIMEOUT_MS = 5_000;

/** How long a session may wait for its first audio; the vendor documents no limit, and none was measured. */
const IDLE_MS = 8_000;

function addressOf(settings: VendorSettings, request: SttRequest): SocketAddress {
  const url = scribeUrl(settings.baseUrl ?? 'https://api.elevenlabs.io', request);
  return { provider: PROVIDER, url, headers: { 'xi-api-key': settings.apiKey } };
}

/** Speech-to-text by ElevenLabs' Scribe. Owns nothing between streams. */
export function createElevenLabsStt(settings: VendorSettings): SttProvider {
  return {
    name: PROVIDER,
    // Word times come after the words, and only when the route asks for them (`include_timestamps`).
    capabilities: { mulawIn: true },
    open: (request, sink, context) => new ScribeStream(settings, request, sink, context),
    prewarm(request, wanted, connecting) {
      settings.dialler?.keepWarm(addressOf(settings, request), { idleMs: IDLE_MS, wanted, connecting });
    },
  };
}

/**
 * Connecting → started → over. Until the vendor says `session_started`, audio is held and a commit waits. Audio is sent in silence
 * too: users report that a stream that pauses is slow to come back.
 */
class ScribeStream implements SttStream {
  readonly #socket: SttSocket;
  /** Undefined once the session has started. */
  #held: RingBuffer | undefined = new RingBuffer(MAX_HELD_MS * BYTES_PER_MS);
  /** The vendor finds the ends of speech (an option of the route): our hints are not needed. */
  #vendorCommits = false;
  /** Of the two that come for one commit, only the one with word times counts. */
  #timed = false;
  #uncommittedBytes = 0;
  /** A final is wanted as soon as there is enough to commit. */
  #commitDue = false;
  /** Commits whose transcript has not come. */
  #awaited = 0;

  constructor(settings: VendorSettings, request: SttRequest, sink: Sink<SttPart>, context: StreamContext) {
    const address = (): SocketAddress => {
      const made = addressOf(settings, request);
      this.#vendorCommits = made.url.searchParams.get('commit_strategy') !== 'manual';
      this.#timed = made.url.searchParams.get('include_timestamps') === 'true';
      return made;
    };
    this.#socket = new SttSocket(
      {
        provider: PROVIDER,
        model: request.model ?? DEFAULT_SCRIBE_MODEL,
        address,
        dialler: settings.dialler,
        connectTimeoutMs: settings.connectTimeoutMs,
        maxQueuedBytes: MAX_QUEUED_BYTES,
        parseRefusal,
        codeOfClose,
      },
      { onOpen: () => this.#socket.awaitSession(), onText: (text) => this.#onMessage(parseScribeMessage(text)) },
      sink,
      context,
    );
  }

  write(audio: Uint8Array): void {
    if (this.#socket.over || audio.length === 0) return;
    this.#uncommittedBytes += audio.length;
    if (this.#held !== undefined) return this.#hold(this.#held, audio);
    this.#socket.sendAudio(audioChunk(audio), audio.length);
    if (this.#commitDue) this.#commit();
  }

  #hold(held: RingBuffer, audio: Uint8Array): void {
    held.write(audio);
    if (held.writtenBytes <= MAX_HELD_MS * BYTES_PER_MS) return;
    const error = new BvraiError('provider.overloaded', 'elevenlabs does not take what is sent to it.', {
      details: { provider: PROVIDER, heldBytes: held.writtenBytes },
    });
    // Not from within write: its caller, the media path, must not find parts arriving under its feet.
    this.#socket.after(0, () => this.#socket.fail(error));
  }

  hint(voice: 'speech-started' | 'speech-ended'): void {
    if (this.#socket.over || this.#vendorCommits) return;
    this.#commitDue = voice === 'speech-ended';
    if (this.#commitDue) this.#commit();
  }

  close(): void {
    this.#socket.close();
  }

  /** Commits if there is enough for it; else the audio that goes on coming, or the session's start, will bring us here again. */
  #commit(): void {
    if (this.#held !== undefined || this.#uncommittedBytes < MIN_COMMIT_MS * BYTES_PER_MS) return;
    this.#commitDue = false;
    this.#uncommittedBytes = 0;
    this.#socket.send(COMMIT);
    if (++this.#awaited === 1) this.#watch();
  }

  #watch(): void {
    if (this.#awaited === 0) return this.#socket.stopTimer();
    this.#socket.failAfter(TRANSCRIPT_TIMEOUT_MS, 'provider.timeout-gap', 'transcribe what was said');
  }

  #onMessage(message: ScribeMessage): void {
    switch (message.type) {
      case 'session-started':
        return this.#start();
      case 'partial':
        // In silence partials are empty; they replace nothing that anybody heard.
        if (message.text === '') return;
        return this.#socket.tell({ type: 'transcript-interim', text: message.text, confidence: 0 });
      case 'committed':
        if (message.timed === this.#timed) this.#tellFinal(message);
        return;
      case 'nothing-to-commit':
        // All that was said has been told already.
        if (this.#awaited > 0) this.#tellFinal({ text: '', words: [], confidence: 0 });
        return;
      case 'failed':
        return this.#socket.fail(message.error);
      case 'ignored':
        return;
    }
  }

  #start(): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    this.#socket.sessionBegun();
    this.#socket.tell({ type: 'stream-opened' });
    const audio = held.newest(held.writtenBytes);
    const size = HELD_CHUNK_MS * BYTES_PER_MS;
    for (let at = 0; at < audio.length; at += size) {
      const piece = audio.subarray(at, at + size);
      this.#socket.sendAudio(audioChunk(piece), piece.length);
    }
    if (this.#commitDue) this.#commit();
  }

  #tellFinal({
    text,
    words,
    confidence,
  }: Pick<ScribeMessage & { type: 'committed' }, 'text' | 'words' | 'confidence'>) {
    // The vendor also commits by itself now and then; that answers nobody.
    const fromFinalize = this.#awaited > 0;
    if (fromFinalize) {
      this.#awaited--;
      this.#watch();
    }
    const speechFinal = this.#vendorCommits;
    this.#socket.tell({ type: 'transcript-final', text, confidence, words, speechFinal, fromFinalize });
  }
}
