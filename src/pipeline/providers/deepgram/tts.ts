/** Deepgram's Aura as a voice: one WebSocket per call, opened early, that speaks one utterance at a time. */
import type { Timer } from '../../../core/clock.ts';
import { BvraiError, unreachable } from '../../../core/errors.ts';
import type { SocketAddress } from '../dial.ts';
import { checkedSpeech } from '../checked-speech.ts';
import type { StreamSocketSettings, VendorSettings } from '../socket.ts';
import type { StreamContext, TtsProvider, TtsRequest } from '../spec.ts';
import { TtsSocket, newUtterance } from '../tts-socket.ts';
import type { SocketUtterance, TtsProtocol } from '../tts-socket.ts';
import { CLEAR, CLOSE, FLUSH, FlushBudget, modelOf, parseAuraMessage, speakMessages, speakUrl } from './aura-wire.ts';
import type { FlushReason } from './aura-wire.ts';
import { PROVIDER, parseRefusal } from './wire.ts';

const BYTES_PER_MS = 8;
const MAX_QUEUED_BYTES = 256 * 1024;
/** How long an utterance waits for the answer to a Clear; then another socket is cheaper. */
const CLEAR_TIMEOUT_MS = 500;
/** Text is flushed this long before the audio ahead of it runs out: the vendor's time to first audio, with room. */
const GAP_LEAD_MS = 700;
/** How long a socket may wait for its call; the vendor documents no limit, and none was measured. */
const IDLE_MS = 20_000;

function addressOf(
  { apiKey, baseUrl = 'https://api.deepgram.com' }: VendorSettings,
  request: TtsRequest,
): SocketAddress {
  return { provider: PROVIDER, url: speakUrl(baseUrl, request), headers: { authorization: `Token ${apiKey}` } };
}

function socketSettings(settings: VendorSettings, request: TtsRequest): StreamSocketSettings {
  return {
    provider: PROVIDER,
    model: modelOf(request),
    address: () => addressOf(settings, request),
    dialler: settings.dialler,
    connectTimeoutMs: settings.connectTimeoutMs,
    maxQueuedBytes: MAX_QUEUED_BYTES,
    farewell: CLOSE,
    parseRefusal,
  };
}

/** Text-to-speech by Aura's WebSocket; a route's `voice` is the vendor's model, e.g. `aura-2-thalia-en`. Owns nothing between streams. */
export function createDeepgramTts(settings: VendorSettings): TtsProvider {
  return checkedSpeech({
    name: PROVIDER,
    capabilities: { mulawOut: true },
    open(request, sink, context) {
      const speechOver = (socket: TtsSocket<Utterance>): AuraSpeech => new AuraSpeech(socket, context);
      return new TtsSocket(socketSettings(settings, request), speechOver, sink, context);
    },
    prewarm(request, wanted, connecting) {
      settings.dialler?.keepWarm(addressOf(settings, request), { idleMs: IDLE_MS, wanted, connecting });
    },
  });
}

interface Utterance extends SocketUtterance {
  /** Text has been sent that no flush has followed. */
  unflushed: boolean;
  /** Flushes that are not answered yet. */
  flushesPending: number;
  /** When its audio so far will have been heard, if it is played as it comes; undefined before the first. */
  audioEndMs: number | undefined;
}

/**
 * Speaking ⇄ clearing. Clearing: an utterance was cancelled or failed; nothing is sent, and what comes is dropped, until the
 * vendor has said `Cleared`.
 *
 * The vendor may be asked to flush only 20 times a minute, so one utterance takes two flushes as a rule: one after its
 * first clause, so that it begins at once, and one at its end. In between, text that waits is flushed only when the audio
 * before it is about to run out, which is when the language model is slow.
 */
class AuraSpeech implements TtsProtocol<Utterance> {
  readonly #socket: TtsSocket<Utterance>;
  readonly #context: StreamContext;
  /** The vendor counts the flushes of each connection. */
  #budget = new FlushBudget();
  /** Whose text was sent last, and whose audio therefore comes. */
  #active: Utterance | undefined;
  #clearTimer: Timer | undefined;
  /** Until the next flush is due or allowed. */
  #flushTimer: Timer | undefined;

  constructor(socket: TtsSocket<Utterance>, context: StreamContext) {
    this.#socket = socket;
    this.#context = context;
  }

  begin(id: string): Utterance {
    return { ...newUtterance(id), unflushed: false, flushesPending: 0, audioEndMs: undefined };
  }

  pump(): void {
    this.#flushTimer?.cancel();
    this.#flushTimer = undefined;
    while (this.#clearTimer === undefined) {
      const utterance = this.#next();
      if (utterance === undefined) return;
      if (utterance.waiting.length > 0) {
        const isSpent = !isBusy(utterance) && !this.#budget.allows('first', this.#context.clock.nowMs());
        if (isSpent) this.#socket.leave();
        if (!this.#socket.ready()) return;
        this.#active = utterance;
        this.#socket.sendText(utterance, speakMessages);
        utterance.unflushed = true;
      }
      if (utterance.unflushed) this.#flushIfDue(utterance);
      if (isBusy(utterance)) return;
      this.#socket.finished(utterance);
    }
  }

  /** Who is to be served: whoever is being spoken, else the first with something left to do. */
  #next(): Utterance | undefined {
    if (this.#active !== undefined && isBusy(this.#active)) return this.#active;
    for (const utterance of this.#socket.utterances) {
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
        this.#flushTimer = clock.after(spareMs, () => this.#socket.pump());
        return;
      }
    }
    // Short of flushes, the rest waits for the end of the utterance, to which the last of them are left.
    if (reason !== 'finish' && !this.#budget.allows(reason, nowMs)) return;
    this.#budget.take(nowMs);
    utterance.unflushed = false;
    utterance.flushesPending++;
    this.#socket.send(FLUSH);
  }

  onBinary(audio: Uint8Array): void {
    const utterance = this.#active;
    if (this.#clearTimer !== undefined || utterance === undefined || audio.length === 0) return;
    const nowMs = this.#context.clock.nowMs();
    utterance.audioEndMs = Math.max(utterance.audioEndMs ?? nowMs, nowMs) + audio.length / BYTES_PER_MS;
    if (!utterance.settling) this.#socket.tell({ type: 'audio-chunk', utteranceId: utterance.id, audio });
  }

  onText(text: string): void {
    const message = parseAuraMessage(text);
    switch (message.type) {
      case 'flushed':
        if (this.#clearTimer !== undefined || !this.#active?.flushesPending) return;
        this.#active.flushesPending--;
        return this.#socket.pump();
      case 'cleared':
        this.#clearTimer?.cancel();
        this.#clearTimer = undefined;
        return this.#socket.pump();
      case 'warned': {
        this.#context.log.warn({ provider: PROVIDER, vendorCode: message.code }, 'the vendor warns');
        const utterance = this.#active;
        if (message.flushRefused && utterance?.flushesPending) this.#socket.failUtterance(utterance, flushRefused());
        return;
      }
      case 'failed':
        return this.#socket.fail(message.error);
      case 'ignored':
        return;
      default:
        return unreachable(message);
    }
  }

  /** Has the vendor forget what was sent of the utterance, and its audio. */
  onDropped(utterance: Utterance): void {
    if (this.#active !== utterance) return;
    this.#active = undefined;
    if (!isBusy(utterance) || !this.#socket.isOpen) return;
    this.#socket.send(CLEAR);
    this.#clearTimer = this.#context.clock.after(CLEAR_TIMEOUT_MS, () => {
      this.#context.log.warn({ provider: PROVIDER }, 'a Clear is not answered; opening another socket');
      this.#socket.leave();
      this.#socket.pump();
    });
  }

  onLeft(): void {
    this.#budget = new FlushBudget();
    this.#active = undefined;
    this.#clearTimer?.cancel();
    this.#clearTimer = undefined;
    this.#flushTimer?.cancel();
    this.#flushTimer = undefined;
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
