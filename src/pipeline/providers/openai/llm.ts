/** OpenAI, or whoever speaks its chat completions, as a text generator: one streamed POST per generation. */
import type { Timer } from '../../../core/clock.ts';
import { BvraiError } from '../../../core/errors.ts';
import { CountedRequest } from '../counted.ts';
import { httpUrl } from '../http.ts';
import { HttpConnections } from '../http-connections.ts';
import type { LlmPart, LlmProvider, LlmStream, Sink, StreamContext } from '../spec.ts';
import { loadChatClient } from './client.ts';
import type { ChatClient } from './client.ts';
import { ToolCallDrafts } from './tool-calls.ts';
import { DEFAULT_MODEL, PROVIDER, chatBody, parseChunk } from './wire.ts';
import type { ChatBody, ChatChunk, FinishReason } from './wire.ts';

const DEFAULT_BASE_URL = 'https://api.openai.com/v1';
/** Nobody listens to a reply for longer; the router's deadlines for first and next token are far shorter. */
const DEFAULT_MAX_GENERATION_MS = 120_000;
/** How long the usage and the stream's formal end may follow the finish; then the connection is given up. */
const TAIL_MS = 500;

export interface OpenAiSettings {
  readonly apiKey: string;
  /** http(s), with `/v1`. */
  readonly baseUrl?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** Shared ones, which their owner closes; without them the adapter has its own. */
  readonly connections?: HttpConnections | undefined;
  readonly maxGenerationMs?: number | undefined;
}

/**
 * Text generation by chat completions. Loads the SDK at once, so that no call waits for it, and keeps connections to
 * the vendor alive between generations; `close` aborts what is running and drops them. Throws `config.invalid` if the base URL
 * is not one.
 */
export function createOpenAiLlm(settings: OpenAiSettings): LlmProvider & { close(): Promise<void> } {
  const baseUrl = settings.baseUrl ?? DEFAULT_BASE_URL;
  const url = httpUrl(PROVIDER, baseUrl, '');
  const maxGenerationMs = settings.maxGenerationMs ?? DEFAULT_MAX_GENERATION_MS;
  const connections = settings.connections ?? new HttpConnections(settings.connectTimeoutMs);
  const loading = loadChatClient({ apiKey: settings.apiKey, baseUrl, connections, maxGenerationMs });
  // Whoever generates is told of a failure to load; until then it is nobody's unhandled rejection.
  loading.catch(() => {});
  const running = new Map<Generation, Promise<void>>();
  let closed = false;
  return {
    name: PROVIDER,
    capabilities: { tools: true, openEnded: true },
    prewarm(_request, wanted, connecting) {
      if (wanted() && !closed) connections.prewarm(url, connecting);
    },
    generate(request, sink, context) {
      const generation = new Generation(sink, context, maxGenerationMs);
      connections.heed(url, context.connecting);
      const start = closed ? Promise.reject(closedError()) : loading;
      const model = request.model ?? DEFAULT_MODEL;
      const run = generation
        .run(start, model, () => chatBody(request, baseUrl))
        .finally(() => running.delete(generation));
      running.set(generation, run);
      return generation;
    },
    async close() {
      closed = true;
      for (const generation of running.keys()) generation.fail(closedError());
      await Promise.all(running.values());
      if (settings.connections === undefined) await connections.close();
    },
  };
}

function closedError(): BvraiError {
  return new BvraiError('aborted', 'The openai adapter has been closed.', { details: { provider: PROVIDER } });
}

/**
 * Generating → finished → over, or at any time over: by `abort`, the signal or a failure, which it tells. Finished:
 * everything has been told, and the response is read to its end so that its connection can serve the next one.
 */
class Generation implements LlmStream {
  readonly #sink: Sink<LlmPart>;
  readonly #context: StreamContext;
  readonly #controller = new AbortController();
  readonly #onAbort = (): void => this.#end();
  readonly #toolCalls = new ToolCallDrafts();
  #state: 'generating' | 'finished' | 'over' = 'generating';
  #timer: Timer | undefined;
  #finishReason: FinishReason | undefined;
  #counted: CountedRequest | undefined;
  #isTaken = false;
  #isUsageTold = false;
  #spoke = false;

  constructor(sink: Sink<LlmPart>, context: StreamContext, maxGenerationMs: number) {
    this.#sink = sink;
    this.#context = context;
    if (context.signal.aborted) {
      this.#state = 'over';
      return;
    }
    context.signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#timer = context.clock.after(maxGenerationMs, () => this.#onDeadline(maxGenerationMs));
  }

  /** Once finished there is nothing left to stop: the tail is read on, for half a second at most, unless the signal aborts. */
  abort(): void {
    if (this.#state === 'generating') this.#end();
  }

  /** Runs the generation to its end. Never rejects. */
  async run(loading: Promise<ChatClient>, model: string, body: () => ChatBody): Promise<void> {
    let client: ChatClient | undefined;
    try {
      client = await loading;
      if (this.#isOver()) return;
      const request = body();
      this.#counted = new CountedRequest(this.#context.usage, PROVIDER, model);
      const events = await client.stream(request, this.#controller.signal);
      this.#isTaken = true;
      for await (const event of events) {
        this.#onChunk(parseChunk(event), 'stream_options' in request);
        if (this.#isOver()) return;
      }
      this.#onStreamEnd();
    } catch (thrown) {
      // Of one that was called off before it was answered nobody knows whether it was taken.
      if (this.#isOver()) return;
      if (!this.#isTaken) this.#counted?.refuse();
      this.fail(client?.normalise(thrown) ?? BvraiError.from(thrown, 'internal', 'The openai SDK did not load'));
    }
  }

  /** Ends the generation with an error; one that has told everything just ends. */
  fail(error: BvraiError): void {
    const tell = this.#state === 'generating';
    this.#end();
    if (tell) this.#sink({ type: 'generation-failed', error });
  }

  #onChunk(chunk: ChatChunk, usageFollows: boolean): void {
    if (this.#state !== 'generating') return;
    if (chunk.text !== undefined && this.#finishReason === undefined) {
      this.#spoke = true;
      this.#sink({ type: 'text-delta', text: chunk.text });
      if (this.#state !== 'generating') return;
    }
    if (chunk.toolCalls !== undefined && this.#finishReason === undefined) {
      this.#spoke = true;
      for (const delta of chunk.toolCalls) this.#toolCalls.add(delta);
    }
    if (chunk.usage !== undefined) this.#onUsage(chunk.usage);
    if (chunk.finishReason !== undefined) this.#startTail(chunk.finishReason);
    if (this.#finishReason !== undefined && (this.#isUsageTold || !usageFollows)) this.#finish();
  }

  #onUsage({ inputTokens, outputTokens }: NonNullable<ChatChunk['usage']>): void {
    this.#isUsageTold = true;
    this.#counted?.readTokens(inputTokens);
    this.#counted?.wroteTokens(outputTokens);
  }

  #startTail(reason: FinishReason): void {
    if (this.#finishReason !== undefined) return;
    this.#finishReason = this.#callTools(reason);
    if (this.#isOver()) return;
    this.#timer?.cancel();
    this.#timer = this.#context.clock.after(TAIL_MS, () => {
      this.#finish();
      this.#end();
    });
  }

  /** Tells of the tool calls, which do not wait for the usage. Returns why the generation ended. */
  #callTools(reason: FinishReason): FinishReason {
    // Cut short, the last call's arguments are not whole, and the others belong with it.
    if (this.#toolCalls.size === 0 || reason === 'length' || reason === 'content-filter') return reason;
    for (const call of this.#toolCalls.take()) {
      if (this.#isOver()) break;
      this.#sink({ type: 'tool-called', call });
    }
    // Some imitators say `stop` although there are calls.
    return 'tool-calls';
  }

  #onStreamEnd(): void {
    if (this.#state === 'generating' && this.#finishReason === undefined) {
      const message = 'openai ended the stream before the generation was finished.';
      return this.fail(new BvraiError('provider.closed', message, { details: { provider: PROVIDER } }));
    }
    this.#finish();
    this.#end();
  }

  #finish(): void {
    const reason = this.#finishReason;
    if (this.#state !== 'generating' || reason === undefined) return;
    this.#state = 'finished';
    this.#sink({ type: 'generation-finished', reason });
  }

  #onDeadline(maxGenerationMs: number): void {
    const code = this.#spoke ? 'provider.timeout-gap' : 'provider.timeout-first';
    const message = `openai did not finish the generation in ${maxGenerationMs} ms.`;
    this.fail(new BvraiError(code, message, { details: { provider: PROVIDER, maxGenerationMs } }));
  }

  /** A method, so that the compiler does not take the state for unchanged across calls of the sink. */
  #isOver(): boolean {
    return this.#state === 'over';
  }

  #end(): void {
    if (this.#isOver()) return;
    this.#state = 'over';
    this.#timer?.cancel();
    this.#context.signal.removeEventListener('abort', this.#onAbort);
    this.#controller.abort();
  }
}
