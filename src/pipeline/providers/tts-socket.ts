/** What the voices over WebSockets have in common: one socket per call, opened early, and utterances that each end once. */
import type { Timer } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import { charactersOf } from './counted.ts';
import { openStreamSocket } from './socket.ts';
import type { ProviderSocket, StreamSocketSettings } from './socket.ts';
import type { Sink, StreamContext, TtsPart, TtsStream, TtsTally } from './spec.ts';
import { UtteranceBook } from './utterances.ts';
import type { BookedUtterance } from './utterances.ts';

/** What is kept of an utterance that is spoken over a socket; each vendor adds its own. */
export interface SocketUtterance extends BookedUtterance {
  /** Its end is on its way: nothing is sent or told of it any more. */
  settling: boolean;
}

/** An utterance that begins. */
export function newUtterance(id: string): SocketUtterance {
  return { id, waiting: [], finishing: false, settling: false };
}

/** How a vendor is had to speak. Nothing of it is called from within the socket's constructor, nor once the socket is over. */
export interface TtsProtocol<Utterance extends SocketUtterance> {
  begin(id: string): Utterance;
  /** A socket has opened; then {@link pump} is called. */
  onOpen?(): void;
  /** Moves on everything that can move; the only place that sends text. Called by {@link TtsSocket.pump} alone. */
  pump(): void;
  /** Nobody listens to it any more: it was cancelled, or has failed. */
  onDropped(utterance: Utterance): void;
  onText(text: string): void;
  onBinary?(bytes: Uint8Array): void;
  /** There is no socket any more; it and all that the vendor knew is to be forgotten, timers too. */
  onLeft(): void;
}

/**
 * Connecting → open ⇄ dormant → over. Dormant: the socket was left, as a rule because the vendor closed it while nothing was
 * pending; the next utterance opens another. Over: by `close`, by the context's signal, or by a failure, which it tells.
 */
export class TtsSocket<Utterance extends SocketUtterance> implements TtsStream {
  /** Those that live, those whose end is on its way among them. */
  readonly utterances: UtteranceBook<Utterance>;
  readonly #settings: StreamSocketSettings;
  readonly #protocol: TtsProtocol<Utterance>;
  readonly #sink: Sink<TtsPart>;
  readonly #context: StreamContext;
  readonly #tally: TtsTally | undefined;
  readonly #onAbort = (): void => this.close();
  #socket: ProviderSocket | undefined;
  /** Set when there is nothing to dial: the failure is on its way. */
  #failTimer: Timer | undefined;
  #over = false;

  constructor(
    settings: StreamSocketSettings,
    protocolOf: (socket: TtsSocket<Utterance>) => TtsProtocol<Utterance>,
    sink: Sink<TtsPart>,
    context: StreamContext,
  ) {
    this.#settings = settings;
    this.#sink = sink;
    this.#context = context;
    this.#tally = context.usage?.tts(settings.provider, settings.model);
    this.#protocol = protocolOf(this);
    this.utterances = new UtteranceBook(settings.provider, (id) => this.#protocol.begin(id));
    if (context.signal.aborted) {
      this.#over = true;
      return;
    }
    context.signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#connect();
  }

  speak(utteranceId: string, text: string): void {
    const utterance = this.#over ? undefined : this.utterances.open(utteranceId);
    if (utterance === undefined || text.trim() === '') return;
    const error = this.utterances.addText(utterance, text);
    if (error === undefined) this.pump();
    else this.failUtterance(utterance, error);
  }

  finish(utteranceId: string): void {
    const utterance = this.#over ? undefined : this.utterances.open(utteranceId);
    if (utterance === undefined) return;
    utterance.finishing = true;
    this.pump();
  }

  cancel(utteranceId: string): void {
    if (this.#over) return;
    const utterance = this.utterances.find(utteranceId);
    if (utterance === undefined) return this.utterances.endUnbegun(utteranceId);
    this.utterances.end(utterance);
    this.#protocol.onDropped(utterance);
    this.pump();
  }

  close(): void {
    if (this.#over) return;
    this.#release();
    this.#socket?.close(this.#settings.farewell);
  }

  /** Nobody waits for anything of the vendor. */
  get isIdle(): boolean {
    return Array.from(this.utterances).every(({ settling }) => settling);
  }

  get isOpen(): boolean {
    return this.#socket?.isOpen ?? false;
  }

  /** Whether a message can be sent now. If there is no socket one is opened; the protocol is pumped again when it is there. */
  ready(): boolean {
    if (this.#socket === undefined && this.#failTimer === undefined) this.#connect();
    return this.isOpen;
  }

  send(message: string): void {
    this.#socket?.send(message);
  }

  /** Sends the text of an utterance that waits, each piece in the messages that the vendor takes it in. */
  sendText(utterance: Utterance, messagesOf: (text: string) => readonly string[]): void {
    for (const text of this.utterances.takeText(utterance)) {
      for (const message of messagesOf(text)) this.send(message);
      if (this.#tally) this.#tally.characters += charactersOf(text);
    }
  }

  /** Has the protocol move on, unless it is over. */
  pump(): void {
    if (!this.#over) this.#protocol.pump();
  }

  tell(part: TtsPart): void {
    if (!this.#over) this.#sink(part);
  }

  /** All audio of the utterance has been told. */
  finished(utterance: Utterance): void {
    this.#settle(utterance, { type: 'utterance-finished', utteranceId: utterance.id });
  }

  failUtterance(utterance: Utterance, error: BvraiError): void {
    this.utterances.takeText(utterance);
    this.#settle(utterance, { type: 'utterance-failed', utteranceId: utterance.id, error });
    this.#protocol.onDropped(utterance);
    this.pump();
  }

  /** Ends the stream and says why; once. */
  fail(error: BvraiError): void {
    if (this.#over) return;
    this.#release();
    this.#socket?.close();
    this.#sink({ type: 'stream-failed', error });
  }

  /** To dormant: whoever speaks next gets another socket. */
  leave(): void {
    this.#socket?.close(this.#settings.farewell);
    this.#socket = undefined;
    this.#protocol.onLeft();
  }

  #connect(): void {
    try {
      this.#socket = openStreamSocket(this.#settings, this.#context, {
        onOpen: () => {
          this.#protocol.onOpen?.();
          this.pump();
        },
        onText: (text) => this.#protocol.onText(text),
        onBinary: (bytes) => this.#protocol.onBinary?.(bytes),
        onEnd: (error, closeCode) => this.#onEnd(error, closeCode),
      });
    } catch (thrown) {
      const error = BvraiError.from(thrown, 'internal');
      this.#failTimer = this.#context.clock.after(0, () => this.fail(error));
    }
  }

  #onEnd(error: BvraiError, closeCode: number | undefined): void {
    const inDueForm = error.code === 'provider.closed' && closeCode !== undefined && closeCode !== 1006;
    if (!inDueForm || !this.isIdle) return this.fail(error);
    const { provider } = this.#settings;
    this.#context.log.debug({ provider, closeCode }, 'idle socket closed by the vendor');
    this.leave();
  }

  /** Ends an utterance, but not at once: the conversation, if it is calling, must not find parts arriving under its feet. */
  #settle(utterance: Utterance, part: TtsPart): void {
    utterance.settling = true;
    queueMicrotask(() => {
      if (this.#over || !this.utterances.isLive(utterance)) return;
      this.utterances.end(utterance);
      this.#sink(part);
    });
  }

  #release(): void {
    this.#over = true;
    this.#failTimer?.cancel();
    this.utterances.clear();
    this.#protocol.onLeft();
    this.#context.signal.removeEventListener('abort', this.#onAbort);
  }
}
