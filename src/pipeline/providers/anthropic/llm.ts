/** Anthropic as a text generator: one streamed POST per generation. */
import { createParser } from 'eventsource-parser';
import { BvraiError } from '../../../core/errors.ts';
import { CountedRequest } from '../counted.ts';
import { Generation } from '../generation.ts';
import { HttpConnections } from '../http-connections.ts';
import type { HttpResponse } from '../http-connections.ts';
import { httpUrl, networkError } from '../http.ts';
import type { LlmProvider, LlmRequest, UsageMeter } from '../spec.ts';
import { API_VERSION, DEFAULT_MODEL, PROVIDER, messagesBody, parseEvent, refusal } from './wire.ts';
import { ReplyReader } from './reply-reader.ts';

const DEFAULT_BASE_URL = 'https://api.anthropic.com';
/** Of the body of a refusal that is read. */
const MAX_REFUSAL_BYTES = 16_384;

export interface AnthropicSettings {
  readonly apiKey: string;
  /** http(s), without `/v1`. */
  readonly baseUrl?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** Shared ones, which their owner closes; without them the adapter has its own. */
  readonly connections?: HttpConnections | undefined;
}

/**
 * Text generation by messages. Keeps connections to the vendor alive between generations; `close` aborts what is running
 * and drops them. Throws `config.invalid` if the base URL is not one.
 */
export function createAnthropicLlm(settings: AnthropicSettings): LlmProvider & { close(): Promise<void> } {
  const url = httpUrl(PROVIDER, settings.baseUrl ?? DEFAULT_BASE_URL, '/v1/messages');
  const headers = {
    'x-api-key': settings.apiKey,
    'anthropic-version': API_VERSION,
    'content-type': 'application/json',
    accept: 'text/event-stream',
  };
  const connections = settings.connections ?? new HttpConnections(settings.connectTimeoutMs);
  const running = new Map<Generation, Promise<void>>();
  let closed = false;

  const run = async (generation: Generation, request: LlmRequest, usage: UsageMeter | undefined): Promise<void> => {
    let counted: CountedRequest | undefined;
    let isTaken = false;
    try {
      // Parts must not arrive while the caller is still in `generate`.
      await Promise.resolve();
      if (closed) throw closedError();
      if (generation.isOver) return;
      const body = JSON.stringify(messagesBody(request));
      counted = new CountedRequest(usage, PROVIDER, request.model ?? DEFAULT_MODEL);
      const response = await connections.post({ url, headers, body }, generation.signal);
      if (response.status !== 200) throw refusal(response.status, response.header, await readRefusal(response));
      isTaken = true;
      await readReply(response, generation, counted);
    } catch (thrown) {
      // Of one that was called off before it was answered nobody knows whether it was taken.
      if (!isTaken && !generation.signal.aborted) counted?.refuse();
      if (!generation.isOver) generation.fail(networkError(PROVIDER, thrown));
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
  return new BvraiError('aborted', 'The anthropic adapter has been closed.', { details: { provider: PROVIDER } });
}

/** Reads the whole stream, also after the finish, so that the connection can serve again. */
async function readReply(response: HttpResponse, generation: Generation, counted: CountedRequest): Promise<void> {
  const reader = new ReplyReader(generation, counted);
  const parser = createParser({ onEvent: ({ data }) => reader.take(parseEvent(data)) });
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    parser.feed(decoder.decode(bytes, { stream: true }));
    if (generation.isOver) return;
  }
  generation.endOfStream();
}

async function readRefusal({ body }: HttpResponse): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_REFUSAL_BYTES) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}
