/** ElevenLabs as a voice: one WebSocket per call, opened early, and on it one context per utterance. */
import type { Timer } from '../../../core/clock.ts';
import { BvraiError } from '../../../core/errors.ts';
import type { Dialler, SocketAddress } from '../dial.ts';
import { ProviderSocket } from '../socket.ts';
import { checkedSpeech } from '../checked-speech.ts';
import { charactersOf } from '../counted.ts';
import type { Sink, StreamContext, TtsPart, TtsProvider, TtsRequest, TtsStream, TtsTally } from '../spec.ts';
import {
  CLOSE_SOCKET,
  DEFAULT_MODEL,
  PROVIDER,
  addText,
  beginContext,
  closeContext,
  flushContext,
  keepAlive,
  multiStreamUrl,
  parseMessage,
  parseRefusal,
  codeOfClose,
} from './wire.ts';
import { createElevenLabsHttpTts } from './http-tts.ts';
import { withFallback } from './with-fallback.ts';
import type { HttpConnections } from '../http-connections.ts';
import { UtteranceBook } from '../utterances.ts';
import type { BookedUtterance } from '../utterances.ts';
import type { ElevenLabsMessage } from './wire.ts';

/** The vendor closes the socket with 1008 when a sixth context begins; cancelled ones count until their `isFinal`. */
const MAX_CONTEXTS = 5;
/** How long an utterance waits for cancelled ones to make room. */
const SLOT_TIMEOUT_MS = 1_000;
const MAX_KEEP_ALIVE_MS = 20_000;
const MAX_QUEUED_BYTES = 256 * 1024;

export interface ElevenLabsSettings {
  readonly apiKey: string;
  /** http(s); the WebSocket address derives from it. */
  readonly baseUrl?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** For speaking over HTTP when the WebSocket fails; their owner closes them. Without them there is no such fallback. */
  readonly connections?: HttpConnections | undefined;
  /** Whose owner closes it. Absent: every socket is dialled when it is needed. */
  readonly dialler?: Dialler | undefined;
}

const DEFAULT_BASE_URL = 'https://api.elevenlabs.io';

function addressOf({ apiKey, baseUrl = DEFAULT_BASE_URL }: ElevenLabsSettings, request: TtsRequest): SocketAddress {
  return { provider: PROVIDER, url: multiStreamUrl(baseUrl, request), headers: { 'xi-api-key': apiKey } };
}

/** How often something must be said on a socket, well within what the address allows. */
function keepAliveMsOf(url: URL): number {
  const inactivityMs = Number(url.searchParams.get('inactivity_timeout')) * 1000;
  return inactivityMs > 0 ? Math.min(MAX_KEEP_ALIVE_MS, inactivityMs / 3) : MAX_KEEP_ALIVE_MS;
}

/**
 * Text-to-speech by ElevenLabs' multi-context WebSocket, and by its HTTP streaming when that fails. Owns nothing between
 * streams.
 */
export function createElevenLabsTts(settings: ElevenLabsSettings): TtsProvider {
  const socket: TtsProvider = {
    name: PROVIDER,
    capabilities: { mulawOut: true, wordTimes: true, contexts: true },
    open: (request, sink, context) => new ElevenLabsStream(settings, request, sink, context),
    prewarm(request, wanted, connecting) {
      const address = addressOf(settings, request);
      // Whoever takes the socket says something after as long again.
      settings.dialler?.keepWarm(address, { idleMs: keepAliveMsOf(address.url), wanted, connecting });
    },
  };
  const { apiKey, baseUrl = DEFAULT_BASE_URL, connections } = settings;
  if (connections === undefined) return checkedSpeech(socket);
  return checkedSpeech(withFallback(socket, createElevenLabsHttpTts({ apiKey, baseUrl, connections })));
}

interface Utterance extends BookedUtterance {
  /** The context that speaks it; none before its first text is sent and after the vendor has ended it. */
  contextId: string | undefined;
  /** The vendor has been told that no more text comes. */
  closeSent: boolean;
}

/**
 * Connecting → open ⇄ dormant → over. Dormant: the vendor closed the socket while nothing was pending; the next
 * utterance opens another. Over: by `close`, by the context's signal, or by a failure, which it tells.
 */
class ElevenLabsStream implements TtsStream {
  readonly #settings: ElevenLabsSettings;
  readonly #request: TtsRequest;
  readonly #sink: Sink<TtsPart>;
  readonly #context: StreamContext;
  readonly #onAbort = (): void => this.close();
  readonly #utterances = new UtteranceBook<Utterance>(PROVIDER, (id) => {
    return { id, waiting: [], contextId: undefined, finishing: false, closeSent: false };
  });
  /** Every context the vendor may still count; undefined: a cancelled utterance's, whose audio is dropped. */
  readonly #contexts = new Map<string, Utterance | undefined>();
  #socket: ProviderSocket | undefined;
  #keepAliveTimer: Timer | undefined;
  #slotTimer: Timer | undefined;
  /** Set when there is nothing to dial: the failure is on its way. */
  #failTimer: Timer | undefined;
  #keepAliveMs = MAX_KEEP_ALIVE_MS;
  #nextContext = 1;
  readonly #tally: TtsTally | undefined;
  #over = false;

  constructor(settings: ElevenLabsSettings, request: TtsRequest, sink: Sink<TtsPart>, context: StreamContext) {
    this.#settings = settings;
    this.#request = request;
    this.#sink = sink;
    this.#context = context;
    this.#tally = context.usage?.tts(PROVIDER, request.model ?? DEFAULT_MODEL);
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
    if (error !== undefined) return this.#settleSoon(utterance, { type: 'utterance-failed', utteranceId, error });
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
    if (utterance.contextId === undefined) return;
    this.#contexts.set(utterance.contextId, undefined);
    if (!utterance.closeSent) this.#socket?.send(closeContext(utterance.contextId));
  }

  close(): void {
    if (this.#over) return;
    this.#release();
    this.#socket?.close(CLOSE_SOCKET);
  }

  #connect(): void {
    const { clock, connecting } = this.#context;
    try {
      const address = addressOf(this.#settings, this.#request);
      this.#keepAliveMs = keepAliveMsOf(address.url);
      this.#socket = new ProviderSocket(
        {
          ...address,
          dialler: this.#settings.dialler,
          clock,
          connectTimeoutMs: this.#settings.connectTimeoutMs,
          connecting,
          maxQueuedBytes: MAX_QUEUED_BYTES,
          parseRefusal,
          codeOfClose,
        },
        {
          onOpen: () => {
            this.#keepAliveLater();
            this.#pump();
          },
          onText: (text) => this.#onMessage(parseMessage(text)),
          onEnd: (error, closeCode) => this.#onEnd(error, closeCode),
        },
      );
    } catch (thrown) {
      const error = BvraiError.from(thrown, 'internal');
      this.#failTimer = clock.after(0, () => this.#fail(error));
    }
  }

  /** Moves everything on that can move: the only place that sends text. */
  #pump(): void {
    if (this.#failTimer !== undefined) return;
    let starved = false;
    for (const utterance of this.#utterances) {
      if (utterance.waiting.length > 0) {
        if (this.#socket === undefined) this.#connect();
        if (!this.#socket?.isOpen) continue;
        if (!this.#sendText(utterance)) {
          starved = true;
          continue;
        }
      }
      if (!utterance.finishing || utterance.closeSent) continue;
      utterance.closeSent = true;
      if (utterance.contextId === undefined) {
        // Nothing was ever said, or the vendor has said it all and ended the context by itself.
        this.#settleSoon(utterance, { type: 'utterance-finished', utteranceId: utterance.id });
      } else {
        this.#socket?.send(flushContext(utterance.contextId));
        this.#socket?.send(closeContext(utterance.contextId));
      }
    }
    this.#watchSlots(starved);
  }

  /** False: no context is free. */
  #sendText(utterance: Utterance): boolean {
    if (utterance.contextId === undefined) {
      if (this.#contexts.size >= MAX_CONTEXTS) return false;
      utterance.contextId = `u${this.#nextContext++}`;
      this.#contexts.set(utterance.contextId, utterance);
      this.#socket?.send(beginContext(utterance.contextId, this.#request));
    }
    for (const text of this.#utterances.takeText(utterance)) {
      this.#socket?.send(addText(utterance.contextId, text));
      if (this.#tally) this.#tally.characters += charactersOf(text);
    }
    return true;
  }

  #watchSlots(starved: boolean): void {
    if (starved) this.#slotTimer ??= this.#context.clock.after(SLOT_TIMEOUT_MS, () => this.#onSlotTimeout());
    else {
      this.#slotTimer?.cancel();
      this.#slotTimer = undefined;
    }
  }

  /** Utterances have waited long enough for a context. */
  #onSlotTimeout(): void {
    this.#slotTimer = undefined;
    if ([...this.#contexts.values()].every((utterance) => utterance === undefined)) {
      // Only cancelled contexts, which the vendor does not let go: nothing is lost with this socket.
      this.#context.log.warn({ provider: PROVIDER }, 'cancelled contexts do not end; opening another socket');
      this.#leaveSocket();
      this.#pump();
      return;
    }
    const error = new BvraiError('provider.overloaded', 'elevenlabs has no free context for another utterance.', {
      details: { provider: PROVIDER, contexts: this.#contexts.size },
    });
    const starved = Array.from(this.#utterances).filter((each) => !each.contextId && each.waiting.length > 0);
    for (const utterance of starved) {
      this.#settle(utterance, { type: 'utterance-failed', utteranceId: utterance.id, error });
    }
  }

  #onMessage(message: ElevenLabsMessage): void {
    switch (message.type) {
      case 'audio':
        return this.#onAudio(message);
      case 'failed':
        return this.#onFailure(message);
      case 'ignored':
        return;
    }
  }

  #onAudio(message: ElevenLabsMessage & { readonly type: 'audio' }): void {
    const { contextId, audio, spans, isFinal } = message;
    const utterance = this.#contexts.get(contextId);
    if (utterance !== undefined && audio.length > 0) {
      this.#sink({ type: 'audio-chunk', utteranceId: utterance.id, audio, spans });
    }
    if (!isFinal || this.#over || !this.#contexts.delete(contextId)) return;
    if (utterance !== undefined && this.#utterances.isLive(utterance)) {
      utterance.contextId = undefined;
      if (utterance.closeSent) this.#settle(utterance, { type: 'utterance-finished', utteranceId: utterance.id });
    }
    this.#pump();
  }

  #onFailure(message: ElevenLabsMessage & { readonly type: 'failed' }): void {
    const { contextId, idle, error } = message;
    if (contextId === undefined || !this.#contexts.has(contextId)) {
      if (idle && this.#utterances.size === 0) this.#leaveSocket();
      else this.#fail(error);
      return;
    }
    const utterance = this.#contexts.get(contextId);
    this.#contexts.delete(contextId);
    if (utterance !== undefined) {
      this.#socket?.send(closeContext(contextId));
      this.#settle(utterance, { type: 'utterance-failed', utteranceId: utterance.id, error });
    }
    this.#pump();
  }

  #onEnd(error: BvraiError, closeCode: number | undefined): void {
    const inDueForm = error.code === 'provider.closed' && closeCode !== undefined && closeCode !== 1006;
    if (!inDueForm || this.#utterances.size > 0) return this.#fail(error);
    this.#context.log.debug({ provider: PROVIDER, closeCode }, 'idle socket closed by the vendor');
    this.#leaveSocket();
  }

  /** To dormant: whoever speaks next gets another socket. */
  #leaveSocket(): void {
    this.#keepAliveTimer?.cancel();
    this.#socket?.close(CLOSE_SOCKET);
    this.#socket = undefined;
    this.#contexts.clear();
  }

  #keepAliveLater(): void {
    this.#keepAliveTimer = this.#context.clock.after(this.#keepAliveMs, () => {
      let kept = false;
      for (const [contextId, utterance] of this.#contexts) {
        if (utterance === undefined || utterance.closeSent) continue;
        this.#socket?.send(keepAlive(contextId));
        kept = true;
      }
      if (!kept) this.#socket?.send(keepAlive());
      this.#keepAliveLater();
    });
  }

  /** Ends an utterance from within a call of the conversation, which must not find parts arriving under its feet. */
  #settleSoon(utterance: Utterance, part: TtsPart): void {
    queueMicrotask(() => this.#settle(utterance, part));
  }

  #settle(utterance: Utterance, part: TtsPart): void {
    if (this.#over || !this.#utterances.isLive(utterance)) return;
    this.#utterances.end(utterance);
    this.#sink(part);
  }

  #fail(error: BvraiError): void {
    if (this.#over) return;
    this.#release();
    this.#socket?.close();
    this.#sink({ type: 'stream-failed', error });
  }

  #release(): void {
    this.#over = true;
    this.#keepAliveTimer?.cancel();
    this.#slotTimer?.cancel();
    this.#failTimer?.cancel();
    this.#utterances.clear();
    this.#contexts.clear();
    this.#context.signal.removeEventListener('abort', this.#onAbort);
  }
}
