/** OpenAI, or whoever speaks its chat completions, as a text generator: one streamed POST per generation. */
import { BvraiError } from '../../../core/errors.ts';
import { CountedRequest } from '../counted.ts';
import { Generation } from '../generation.ts';
import { httpUrl } from '../http.ts';
import { HttpConnections } from '../http-connections.ts';
import type { LlmProvider, LlmRequest, UsageMeter } from '../spec.ts';
import { ChatReader } from './chat-reader.ts';
import { loadChatClient } from './client.ts';
import type { ChatClient } from './client.ts';
import { DEFAULT_MODEL, PROVIDER, chatBody, parseChunk } from './wire.ts';

const DEFAULT_BASE_URL = 'https://api.openai.com/v1';

export interface OpenAiSettings {
  readonly apiKey: string;
  /** http(s), with `/v1`. */
  readonly baseUrl?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** Shared ones, which their owner closes; without them the adapter has its own. */
  readonly connections?: HttpConnections | undefined;
}

/**
 * Text generation by chat completions. Loads the SDK at once, so that no call waits for it, and keeps connections to
 * the vendor alive between generations; `close` aborts what is running and drops them. Throws `config.invalid` if the base URL
 * is not one.
 */
export function createOpenAiLlm(settings: OpenAiSettings): LlmProvider & { close(): Promise<void> } {
  const baseUrl = settings.baseUrl ?? DEFAULT_BASE_URL;
  const url = httpUrl(PROVIDER, baseUrl, '');
  const connections = settings.connections ?? new HttpConnections(settings.connectTimeoutMs);
  const loading = loadChatClient({ apiKey: settings.apiKey, baseUrl, connections });
  // Whoever generates is told of a failure to load; until then it is nobody's unhandled rejection.
  loading.catch(() => {});
  const running = new Map<Generation, Promise<void>>();
  let closed = false;

  const run = async (generation: Generation, request: LlmRequest, usage: UsageMeter | undefined): Promise<void> => {
    let client: ChatClient | undefined;
    let counted: CountedRequest | undefined;
    let isTaken = false;
    try {
      client = await loading;
      // Not before: parts must not arrive while the caller is still in `generate`.
      if (closed) throw closedError();
      if (generation.isOver) return;
      const body = chatBody(request, baseUrl);
      counted = new CountedRequest(usage, PROVIDER, request.model ?? DEFAULT_MODEL);
      const reader = new ChatReader(generation, counted, 'stream_options' in body);
      const events = await client.stream(body, generation.signal);
      isTaken = true;
      for await (const event of events) {
        reader.take(parseChunk(event));
        if (generation.isOver) return;
      }
      generation.endOfStream();
    } catch (thrown) {
      // Of one that was called off before it was answered nobody knows whether it was taken.
      if (generation.isOver) return;
      if (!isTaken) counted?.refuse();
      generation.fail(client?.normalise(thrown) ?? BvraiError.from(thrown, 'internal', 'The openai SDK did not load'));
    }
  };

  return {
    name: PROVIDER,
    capabilities: { tools: true, openEnded: true },
    prewarm(_request, wanted, connecting) {
      if (wanted() && !closed) connections.prewarm(url, connecting);
    },
    generate(request, sink, context) {
      const generation = new Generation(PROVIDER, sink, context);
      connections.heed(url, context.connecting);
      running.set(
        generation,
        run(generation, request, context.usage).finally(() => running.delete(generation)),
      );
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
