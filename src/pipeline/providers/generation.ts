/** The life of one generation of text, for adapters whose vendor streams the response to one request. */
import type { Timer } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { LlmPart, LlmStream, Sink, StreamContext, ToolCall } from './spec.ts';

/** Nobody listens to a reply for longer; the router's deadlines for first and next token are far shorter. */
export const MAX_GENERATION_MS = 120_000;
/** How long the usage and the stream's formal end may follow the last word; then the connection is given up. */
const TAIL_MS = 500;

/** Why a generation ended well. */
export type FinishReason = (LlmPart & { readonly type: 'generation-finished' })['reason'];

/** Whether the vendor stopped before the model was done: then the last tool call's arguments are not whole, and the others belong with it. */
export function isCutShort(reason: FinishReason): boolean {
  return reason === 'length' || reason === 'content-filter';
}

/**
 * Generating → stopped → finished → over, or at any time over: by `abort`, the signal, the deadline or a failure, which it tells.
 * Stopped: only the usage may still come. Finished: everything has been told, and the response is read to its end so that its
 * connection can serve the next one.
 */
export class Generation implements LlmStream {
  readonly #provider: string;
  readonly #sink: Sink<LlmPart>;
  readonly #context: StreamContext;
  readonly #controller = new AbortController();
  readonly #onAbort = (): void => this.#end();
  #state: 'generating' | 'stopped' | 'finished' | 'over' = 'generating';
  #reason: FinishReason = 'stop';
  #timer: Timer | undefined;
  #spoke = false;

  constructor(provider: string, sink: Sink<LlmPart>, context: StreamContext) {
    this.#provider = provider;
    this.#sink = sink;
    this.#context = context;
    if (context.signal.aborted) {
      this.#state = 'over';
      return;
    }
    context.signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#timer = context.clock.after(MAX_GENERATION_MS, () => this.#onDeadline());
  }

  /** For the request: aborts when the generation is over, however it came to that. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  /** Once finished there is nothing left to stop: the tail is read on, for half a second at most, unless the signal aborts. */
  abort(): void {
    if (this.#state === 'generating' || this.#state === 'stopped') this.#end();
  }

  /** The vendor said something that is not told yet, such as the beginning of a tool call. */
  noteProgress(): void {
    this.#spoke = true;
  }

  addText(text: string): void {
    if (this.#state !== 'generating') return;
    this.#spoke = true;
    this.#sink({ type: 'text-delta', text });
  }

  /** The vendor has said why it stopped: tells the tool calls, which do not wait for the usage. More text is not told. */
  stop(reason: FinishReason, toolCalls: readonly ToolCall[]): void {
    if (this.#state !== 'generating') return;
    this.#state = 'stopped';
    // Some imitators say `stop` although there are calls.
    this.#reason = toolCalls.length > 0 ? 'tool-calls' : reason;
    this.#timer?.cancel();
    this.#timer = this.#context.clock.after(TAIL_MS, () => this.endOfStream());
    for (const call of toolCalls) {
      this.#sink({ type: 'tool-called', call });
      if (this.isOver) return;
    }
  }

  /** After `stop`: the usage is known, or will not come. Tells the end. */
  finish(): void {
    if (this.#state !== 'stopped') return;
    this.#state = 'finished';
    this.#sink({ type: 'generation-finished', reason: this.#reason });
  }

  /** The response has ended. */
  endOfStream(): void {
    const message = `${this.#provider} ended the stream before the generation was finished.`;
    this.fail(new BvraiError('provider.closed', message, { details: { provider: this.#provider } }));
  }

  /** Ends the generation with an error; one that the vendor has stopped just ends, without its usage. */
  fail(error: BvraiError): void {
    this.finish();
    const tell = this.#state === 'generating';
    this.#end();
    if (tell) this.#sink({ type: 'generation-failed', error });
  }

  #onDeadline(): void {
    const code = this.#spoke ? 'provider.timeout-gap' : 'provider.timeout-first';
    const message = `${this.#provider} did not finish the generation in ${MAX_GENERATION_MS} ms.`;
    this.fail(
      new BvraiError(code, message, { details: { provider: this.#provider, maxGenerationMs: MAX_GENERATION_MS } }),
    );
  }

  #end(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#timer?.cancel();
    this.#context.signal.removeEventListener('abort', this.#onAbort);
    this.#controller.abort();
  }
}
