/** ElevenLabs as a voice: one WebSocket per call, opened early, and on it one context per utterance. */
import type { Timer } from '../../../core/clock.ts';
import { BvraiError } from '../../../core/errors.ts';
import type { SocketAddress } from '../dial.ts';
import { checkedSpeech } from '../checked-speech.ts';
import type { HttpConnections } from '../http-connections.ts';
import type { StreamSocketSettings, VendorSettings } from '../socket.ts';
import type { StreamContext, TtsProvider, TtsRequest } from '../spec.ts';
import { TtsSocket, newUtterance } from '../tts-socket.ts';
import type { SocketUtterance, TtsProtocol } from '../tts-socket.ts';
import { createElevenLabsHttpTts } from './http-tts.ts';
import { withFallback } from './with-fallback.ts';
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
import type { ElevenLabsMessage } from './wire.ts';

/** The vendor closes the socket with 1008 when a sixth context begins; cancelled ones count until their `isFinal`. */
const MAX_CONTEXTS = 5;
/** How long an utterance waits for cancelled ones to make room. */
const SLOT_TIMEOUT_MS = 1_000;
const MAX_KEEP_ALIVE_MS = 20_000;
const MAX_QUEUED_BYTES = 256 * 1024;

export interface ElevenLabsSettings extends VendorSettings {
  /** For speaking over HTTP when the WebSocket fails; their owner closes them. Without them there is no such fallback. */
  readonly connections?: HttpConnections | undefined;
}

const DEFAULT_BASE_URL = 'https://api.elevenlabs.io';

function addressOf({ apiKey, baseUrl = DEFAULT_BASE_URL }: VendorSettings, request: TtsRequest): SocketAddress {
  return { provider: PROVIDER, url: multiStreamUrl(baseUrl, request), headers: { 'xi-api-key': apiKey } };
}

function socketSettings(settings: VendorSettings, request: TtsRequest): StreamSocketSettings {
  return {
    provider: PROVIDER,
    model: request.model ?? DEFAULT_MODEL,
    address: () => addressOf(settings, request),
    dialler: settings.dialler,
    connectTimeoutMs: settings.connectTimeoutMs,
    maxQueuedBytes: MAX_QUEUED_BYTES,
    farewell: CLOSE_SOCKET,
    parseRefusal,
    codeOfClose,
  };
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
  const overSocket: TtsProvider = {
    name: PROVIDER,
    capabilities: { mulawOut: true, wordTimes: true, contexts: true },
    open(request, sink, context) {
      const speechOver = (socket: TtsSocket<Utterance>): ContextSpeech =>
        new ContextSpeech(socket, settings, request, context);
      return new TtsSocket(socketSettings(settings, request), speechOver, sink, context);
    },
    prewarm(request, wanted, connecting) {
      const address = addressOf(settings, request);
      // Whoever takes the socket says something after as long again.
      settings.dialler?.keepWarm(address, { idleMs: keepAliveMsOf(address.url), wanted, connecting });
    },
  };
  const { apiKey, baseUrl = DEFAULT_BASE_URL, connections } = settings;
  if (connections === undefined) return checkedSpeech(overSocket);
  return checkedSpeech(withFallback(overSocket, createElevenLabsHttpTts({ apiKey, baseUrl, connections })));
}

interface Utterance extends SocketUtterance {
  /** The context that speaks it; none before its first text is sent and after the vendor has ended it. */
  contextId: string | undefined;
  /** The vendor has been told that no more text comes. */
  closeSent: boolean;
}

/** One context per utterance, as many at a time as the vendor allows. */
class ContextSpeech implements TtsProtocol<Utterance> {
  readonly #socket: TtsSocket<Utterance>;
  readonly #settings: VendorSettings;
  readonly #request: TtsRequest;
  readonly #context: StreamContext;
  /** Every context the vendor may still count; undefined: of one that was cancelled or failed, whose audio is dropped. */
  readonly #contexts = new Map<string, Utterance | undefined>();
  #keepAliveTimer: Timer | undefined;
  #slotTimer: Timer | undefined;
  #nextContext = 1;

  constructor(socket: TtsSocket<Utterance>, settings: VendorSettings, request: TtsRequest, context: StreamContext) {
    this.#socket = socket;
    this.#settings = settings;
    this.#request = request;
    this.#context = context;
  }

  begin(id: string): Utterance {
    return { ...newUtterance(id), contextId: undefined, closeSent: false };
  }

  onOpen(): void {
    this.#keepAliveIn(keepAliveMsOf(addressOf(this.#settings, this.#request).url));
  }

  pump(): void {
    let starved = false;
    for (const utterance of this.#socket.utterances) {
      if (utterance.settling) continue;
      if (utterance.waiting.length > 0) {
        if (!this.#socket.ready()) continue;
        if (!this.#sendText(utterance)) {
          starved = true;
          continue;
        }
      }
      if (!utterance.finishing || utterance.closeSent) continue;
      const { contextId } = utterance;
      if (contextId === undefined) {
        // Nothing was ever said, or the vendor has said it all and ended the context by itself.
        this.#socket.finished(utterance);
        continue;
      }
      utterance.closeSent = true;
      this.#socket.send(flushContext(contextId));
      this.#socket.send(closeContext(contextId));
    }
    this.#watchSlots(starved);
  }

  /** False: no context is free. */
  #sendText(utterance: Utterance): boolean {
    if (utterance.contextId === undefined && this.#contexts.size >= MAX_CONTEXTS) return false;
    const contextId = utterance.contextId ?? this.#beginContext(utterance);
    this.#socket.sendText(utterance, (text) => [addText(contextId, text)]);
    return true;
  }

  #beginContext(utterance: Utterance): string {
    const contextId = `u${this.#nextContext++}`;
    utterance.contextId = contextId;
    this.#contexts.set(contextId, utterance);
    this.#socket.send(beginContext(contextId, this.#request));
    return contextId;
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
      this.#socket.leave();
      this.#socket.pump();
      return;
    }
    const error = new BvraiError('provider.overloaded', 'elevenlabs has no free context for another utterance.', {
      details: { provider: PROVIDER, contexts: this.#contexts.size },
    });
    for (const utterance of Array.from(this.#socket.utterances)) {
      const isStarved = !utterance.settling && utterance.contextId === undefined && utterance.waiting.length > 0;
      if (isStarved) this.#socket.failUtterance(utterance, error);
    }
  }

  onText(text: string): void {
    const message = parseMessage(text);
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
      this.#socket.tell({ type: 'audio-chunk', utteranceId: utterance.id, audio, spans });
    }
    if (!isFinal || !this.#contexts.delete(contextId)) return;
    if (utterance !== undefined) {
      utterance.contextId = undefined;
      if (utterance.closeSent) this.#socket.finished(utterance);
    }
    this.#socket.pump();
  }

  #onFailure(message: ElevenLabsMessage & { readonly type: 'failed' }): void {
    const { contextId, idle, error } = message;
    if (contextId === undefined || !this.#contexts.has(contextId)) {
      if (idle && this.#socket.isIdle) this.#socket.leave();
      else this.#socket.fail(error);
      return;
    }
    const utterance = this.#contexts.get(contextId);
    if (utterance !== undefined) this.#socket.failUtterance(utterance, error);
    this.#contexts.delete(contextId);
    this.#socket.pump();
  }

  /** The vendor speaks no more of it; its context counts until the vendor has said so. */
  onDropped(utterance: Utterance): void {
    if (utterance.contextId === undefined) return;
    this.#contexts.set(utterance.contextId, undefined);
    if (!utterance.closeSent) this.#socket.send(closeContext(utterance.contextId));
  }

  onLeft(): void {
    this.#keepAliveTimer?.cancel();
    this.#slotTimer?.cancel();
    this.#contexts.clear();
  }

  #keepAliveIn(delayMs: number): void {
    this.#keepAliveTimer = this.#context.clock.after(delayMs, () => {
      let kept = false;
      for (const [contextId, utterance] of this.#contexts) {
        if (utterance === undefined || utterance.closeSent) continue;
        this.#socket.send(keepAlive(contextId));
        kept = true;
      }
      if (!kept) this.#socket.send(keepAlive());
      this.#keepAliveIn(delayMs);
    });
  }
}
