/** Deepgram's Aura as a voice: one WebSocket per call, opened early, that speaks one utterance at a time. */
import type { Timer } from '../../../core/clock.ts';
import { BvraiError, unreachable } from '../../../core/errors.ts';
import type { Dialler, SocketAddress } from '../dial.ts';
import { checkedSpeech } from '../checked-speech.ts';
import { ProviderSocket } from '../socket.ts';
import { charactersOf } from '../counted.ts';
import type { Sink, StreamContext, TtsPart, TtsProvider, TtsRequest, TtsStream, TtsTally } from '../spec.ts';
import { UtteranceBook } from '../utterances.ts';
import type { BookedUtterance } from '../utterances.ts';
import { CLEAR, CLOSE, FLUSH, FlushBudget, modelOf, parseAuraMessage, speakMessages, speakUrl } from './aura-wire.ts';
import type { AuraMessage, FlushReason } from './aura-wire.ts';
import { PROVIDER, parseRefusal } from './wire.ts';

const BYTES_PER_MS = 8;
const MAX_QUEUED_BYTES = 256 * 1024;
/** How long an utterance waits for the answer to a Clear; then another socket is cheaper. */
const CLEAR_TIMEOUT_MS = 500;
/** Text is flushed this long before the audio ahead of it runs out: the vendor's time to first audio, with room. */
const GAP_LEAD_MS = 700;
/** How long a socket may wait for its call; the vendor documents no limit, and none was measured. */
const IDLE_MS = 20_000;

export interface DeepgramTtsSettings {
  readonly apiKey: string;
  /** http(s); the WebSocket address derives from it. */
  readonly baseUrl?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** Whose owner closes it. Absent: every socket is dialled when it is needed. */
  readonly dialler?: Dialler | undefined;
}

function addressOf(
  { apiKey, baseUrl = 'https://api.deepgram.com' }: DeepgramTtsSettings,
  request: TtsRequest,
): SocketAddress {
  return { provider: PROVIDER, url: speakUrl(baseUrl, request), headers: { authorization: `Token ${apiKey}` } };
}

/** Text-to-speech by Aura's WebSocket; a route's `voice` is the vendor's model, e.g. `aura-2-thalia-en`. Owns nothing between streams. */
export function createDeepgramTts(settings: DeepgramTtsSettings): TtsProvider {
  return checkedSpeech({
    name: PROVIDER,
    capabilities: { mulawOut: true },
    open: (request, sink, context) => new AuraStream(settings, request, sink, context),
    prewarm(request, wanted, connecting) {
      settings.dialler?.keepWarm(addressOf(settings, request), { idleMs: IDLE_MS, wanted, connecting });
    },
  });
}

interface Utterance extends BookedUtterance {
  /** Text has been sent that no flush has followed. */
  unflushed: boolean;
  /** Flushes that are not answered yet. */
  flushesPending: number;
  /** When its audio so far will have been heard, if it is played as it comes; undefined before the first. */
  audioEndMs: number | undefined;
  /** Its end is on its way. */
  settling: boolean;
}

/**
 * Connecting → open ⇄ clearing, dormant → over. Clearing: an utterance was cancelled; nothing is sent, and what comes is
 * dropped, until the vendor has said `Cleared`. Dormant: the vendor closed the socket while nothing was pending; the next
 * utterance opens another. Over: by `close`, by the context's signal, or by a failure, which it tells.
 *
 * The vendor may be asked to flush only 20 times a minute, so one utterance takes two flushes as a rule: one after its
 * first clause, so that it begins at once, and one at its end. In between, text that waits is flushed only when the audio
 * before it is about to run out, which is when the language model is slow.
 */
class AuraStream implements TtsStream {
  readonly #settings: DeepgramTtsSettings;
  readonly #request: TtsRequest;
  readonly #sink: Sink<TtsPart>;
  readonly #context: StreamContext;
  readonly #onAbort = (): void => this.close();
  readonly #utterances = new UtteranceBook<Utterance>(PROVIDER, (id) => {
    return {
      id,
      waiting: [],
      finishing: false,
      unflushed: false,
      flushesPending: 0,
      audioEndMs: undefined,
      settling: false,
    };
  });
  #budget = new FlushBudget();
  #socket: ProviderSocket | undefined;
  /** Whose text was sent last, and whose audio therefore comes. */
  #active: Utterance | undefined;
  #clearTimer: Timer | undefined;
  /** Until the next flush is due or allowed. */
  #flushTimer: Timer | undefined;
  /** Set when there is nothing to dial: the failure is on its way. */
  #failTimer: Timer | undefined;
  #over = false;
  readonly #tally: TtsTally | undefined;

  constructor(settings: DeepgramTtsSettings, request: TtsRequest, sink: Sink<TtsPart>, context: StreamContext) {
    this.#settings = settings;
    this.#request = request;
    this.#sink = sink;
    this.#context = context;
    this.#tally = context.usage?.tts(PROVIDER, modelOf(request));
    if (context.signal.aborted) {
      this.#over = true;
      return;
    }
    context.signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#connect();
  }

  speak(utteranceId: string, text: string): void {
    const utterance = this.#over ? undefined : this.#utterances.open(utteranceId);
    if (utterance === undefined || text.trim() === '') return;
    const error = this.#utterances.addText(utterance, text);
    if (error !== undefined) return this.#fail(utterance, error);
    this.#pump();
  }

  finish(utteranceId: string): void {
    const utterance = this.#over ? undefined : this.#utterances.open(utteranceId);
    if (utterance === undefined) return;
    utterance.finishing = true;
    this.#pump();
  }

  cancel(utteranceId: string): void {
    if (this.#over) return;
    const utterance = this.#utterances.find(utteranceId);
    if (utterance === undefined) return this.#utterances.endUnbegun(utteranceId);
    this.#utterances.end(utterance);
    this.#clear(utterance);
    this.#pump();
  }

  close(): void {
    if (this.#over) return;
    this.#release();
    this.#socket?.close(CLOSE);
  }

  #connect(): void {
    const { clock, connecting } = this.#context;
    try {
      this.#budget = new FlushBudget();
      this.#socket = new ProviderSocket(
        {
          ...addressOf(this.#settings, this.#request),
          dialler: this.#settings.dialler,
          clock,
          connectTimeoutMs: this.#settings.connectTimeoutMs,
          connecting,
          maxQueuedBytes: MAX_QUEUED_BYTES,
          parseRefusal,
        },
        {
          onOpen: () => this.#pump(),
          onText: (text) => this.#onMessage(parseAuraMessage(text)),
          onBinary: (bytes) => this.#onAudio(bytes),
          onEnd: (error, closeCode) => this.#onEnd(error, closeCode),
        },
      );
    } catch (thrown) {
      const error = BvraiError.from(thrown, 'internal');
      this.#failTimer = clock.after(0, () => this.#failStream(error));
    }
  }

  /** Moves everything on that can move: the only place that sends text and flushes. */
  #pump(): void {
    this.#flushTimer?.cancel();
    this.#flushTimer = undefined;
    for (;;) {
      if (this.#over || this.#failTimer !== undefined || this.#clearTimer !== undefined) return;
      const utterance = this.#next();
      if (utterance === undefined) return;
      if (utterance.waiting.length > 0) {
        const isSpent = !isBusy(utterance) && !this.#budget.allows('first', this.#context.clock.nowMs());
        // The vendor counts the flushes of each connection.
        if (isSpent) this.#leaveSocket();
        if (this.#socket === undefined) this.#connect();
        if (!this.#socket?.isOpen) return;
        this.#active = utterance;
        for (const text of this.#utterances.takeText(utterance)) {
          for (const message of speakMessages(text)) this.#socket.send(message);
          if (this.#tally) this.#tally.characters += charactersOf(text);
        }
        utterance.unflushed = true;
      }
      if (utterance.unflushed) this.#flushIfDue(utterance);
      if (isBusy(utterance)) return;
      utterance.settling = true;
      this.#settleSoon(utterance, { type: 'utterance-finished', utteranceId: utterance.id });
    }
  }

  /** Who is to be served: whoever is being spoken, else the first with something left to do. */
  #next(): Utterance | undefined {
    if (this.#active !== undefined && isBusy(this.#active)) return this.#active;
    for (const utterance of this.#utterances) {
      if (!utterance.settling && (utterance.waiting.length > 0 || utterance.finishing)) return utterance;
    }
    return undefined;
  }

  #flushIfDue(utterance: Utterance): void {
    const { clock } = this.#context;
    const nowMs = clock.nowMs();
    let reason: FlushReason = 'finish';
    if (!utterance.finishing) {
      // What is flushed already must be spoken first; its `Flushed` brings us here again.
      if (utterance.flushesPending > 0) return;
      reason = utterance.audioEndMs === undefined ? 'first' : 'gap';
      const spareMs = (utterance.audioEndMs ?? nowMs) - GAP_LEAD_MS - nowMs;
      if (spareMs > 0) {
        this.#flushTimer = clock.after(spareMs, () => this.#pump());
        return;
      }
    }
    // Short of flushes, the rest waits for the end of the utterance, to which the last of them are left.
    if (reason !== 'finish' && !this.#budget.allows(reason, nowMs)) return;
    this.#budget.take(nowMs);
    utterance.unflushed = false;
    utterance.flushesPending++;
    this.#socket?.send(FLUSH);
  }

  #onAudio(audio: Uint8Array): void {
    const utterance = this.#active;
    if (this.#clearTimer !== undefined || utterance === undefined || audio.length === 0) return;
    const nowMs = this.#context.clock.nowMs();
    utterance.audioEndMs = Math.max(utterance.audioEndMs ?? nowMs, nowMs) + audio.length / BYTES_PER_MS;
    if (!utterance.settling) this.#sink({ type: 'audio-chunk', utteranceId: utterance.id, audio });
  }

  #onMessage(message: AuraMessage): void {
    switch (message.type) {
      case 'flushed':
        if (this.#clearTimer !== undefined || !this.#active?.flushesPending) return;
        this.#active.flushesPending--;
        return this.#pump();
      case 'cleared':
        this.#clearTimer?.cancel();
        this.#clearTimer = undefined;
        return this.#pump();
      case 'warned': {
        this.#context.log.warn({ provider: PROVIDER, vendorCode: message.code }, 'the vendor warns');
        const utterance = this.#active;
        if (message.flushRefused && utterance?.flushesPending) this.#fail(utterance, flushRefused());
        return;
      }
      case 'failed':
        return this.#failStream(message.error);
      case 'ignored':
        return;
      default:
        return unreachable(message);
    }
  }

  #onEnd(error: BvraiError, closeCode: number | undefined): void {
    const inDueForm = error.code === 'provider.closed' && closeCode !== undefined && closeCode !== 1006;
    if (!inDueForm || this.#utterances.size > 0) return this.#failStream(error);
    this.#context.log.debug({ provider: PROVIDER, closeCode }, 'idle socket closed by the vendor');
    this.#leaveSocket();
  }

  /** To dormant: whoever speaks next gets another socket. */
  #leaveSocket(): void {
    this.#socket?.close(CLOSE);
    this.#socket = undefined;
    this.#active = undefined;
    this.#clearTimer?.cancel();
    this.#clearTimer = undefined;
  }

  /** Has the vendor forget what was sent of an utterance, and its audio. */
  #clear(utterance: Utterance): void {
    if (this.#active !== utterance) return;
    this.#active = undefined;
    if (!isBusy(utterance) || !this.#socket?.isOpen) return;
    this.#socket.send(CLEAR);
    this.#clearTimer = this.#context.clock.after(CLEAR_TIMEOUT_MS, () => {
      this.#context.log.warn({ provider: PROVIDER }, 'a Clear is not answered; opening another socket');
      this.#leaveSocket();
      this.#pump();
    });
  }

  /** Ends an utterance from within a call of the conversation, which must not find parts arriving under its feet. */
  #settleSoon(utterance: Utterance, part: TtsPart): void {
    queueMicrotask(() => {
      if (this.#over || !this.#utterances.isLive(utterance)) return;
      this.#utterances.end(utterance);
      this.#sink(part);
    });
  }

  #fail(utterance: Utterance, error: BvraiError): void {
    utterance.settling = true;
    this.#utterances.takeText(utterance);
    this.#clear(utterance);
    this.#settleSoon(utterance, { type: 'utterance-failed', utteranceId: utterance.id, error });
  }

  #failStream(error: BvraiError): void {
    if (this.#over) return;
    this.#release();
    this.#socket?.close();
    this.#sink({ type: 'stream-failed', error });
  }

  #release(): void {
    this.#over = true;
    this.#clearTimer?.cancel();
    this.#flushTimer?.cancel();
    this.#failTimer?.cancel();
    this.#utterances.clear();
    this.#active = undefined;
    this.#context.signal.removeEventListener('abort', this.#onAbort);
  }
}

/** Text of it is with the vendor, or audio of it on its way. */
function isBusy({ unflushed, flushesPending }: Utterance): boolean {
  return unflushed || flushesPending > 0;
}

function flushRefused(): BvraiError {
  const message = 'deepgram took no more flushes: it holds that there were too many in the last minute.';
  return new BvraiError('provider.rate-limited', message, { details: { provider: PROVIDER } });
}
