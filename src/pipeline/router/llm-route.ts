/** An ordered route of language models that looks like one. */
import { BvraiError, unreachable } from '../../core/errors.ts';
import type { LlmPart, LlmProvider, LlmRequest, LlmStream, Sink, StreamContext } from '../providers/spec.ts';
import { Watchdog, deadlineError } from './route.ts';
import type { Candidate, Deadlines } from './route.ts';

/** A model that ignores its token limit is stopped after this many characters a token. */
const MAX_CHARACTERS_PER_TOKEN = 8;

/**
 * Asks the candidates in order until one gives a first token within the deadline. Once text or a tool call has been passed on
 * there is no going back: a later failure is reported, and what was said stands.
 */
export function llmRoute(candidates: readonly Candidate<LlmProvider>[], deadlines: Deadlines): LlmProvider {
  return {
    name: candidates.map(({ provider }) => provider.name).join(', '),
    generate: (request, sink, context) => new RoutedGeneration(candidates, deadlines, request, sink, context),
  };
}

class RoutedGeneration implements LlmStream {
  readonly #candidates: readonly Candidate<LlmProvider>[];
  readonly #deadlines: Deadlines;
  readonly #request: LlmRequest;
  readonly #sink: Sink<LlmPart>;
  readonly #context: StreamContext;
  readonly #watchdog: Watchdog;
  #index = -1;
  #stream: LlmStream | undefined;
  #characters = 0;
  #passedOn = false;
  #done = false;

  constructor(
    candidates: readonly Candidate<LlmProvider>[],
    deadlines: Deadlines,
    request: LlmRequest,
    sink: Sink<LlmPart>,
    context: StreamContext,
  ) {
    this.#candidates = candidates;
    this.#deadlines = deadlines;
    this.#request = request;
    this.#sink = sink;
    this.#context = context;
    this.#watchdog = new Watchdog(context.clock);
    context.signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#tryNext(new BvraiError('provider.unavailable', 'the route has no language model'));
  }

  abort(): void {
    if (this.#done) return;
    this.#end();
    this.#stream?.abort();
  }

  readonly #onAbort = (): void => this.abort();

  #tryNext(reason: BvraiError): void {
    const index = ++this.#index;
    const candidate = this.#candidates[index];
    if (!candidate) return this.#fail(reason);
    const { provider, entry } = candidate;
    this.#watchdog.restart(this.#deadlines.firstMs, () => this.#expire(index, 'first', this.#deadlines.firstMs));
    const request = { ...this.#request, model: entry.model, options: entry.options };
    this.#stream = provider.generate(request, (part) => this.#onPart(index, part), this.#context);
  }

  #onPart(index: number, part: LlmPart): void {
    if (this.#done || index !== this.#index) return;
    switch (part.type) {
      case 'text-delta':
        this.#expectMore(index);
        this.#passedOn ||= part.text !== '';
        this.#characters += part.text.length;
        this.#sink(part);
        if (this.#characters > this.#request.maxOutputTokens * MAX_CHARACTERS_PER_TOKEN) this.#stopEndless();
        return;
      case 'tool-called':
        this.#expectMore(index);
        this.#passedOn = true;
        return this.#sink(part);
      case 'usage-reported':
        return this.#sink(part);
      case 'generation-finished':
        this.#end();
        return this.#sink(part);
      case 'generation-failed':
        return this.#onFailure(part.error);
      default:
        return unreachable(part);
    }
  }

  #expectMore(index: number): void {
    this.#watchdog.restart(this.#deadlines.gapMs, () => this.#expire(index, 'gap', this.#deadlines.gapMs));
  }

  #expire(index: number, kind: 'first' | 'gap', limitMs: number): void {
    if (this.#done || index !== this.#index) return;
    const provider = this.#candidates[index]?.provider.name ?? 'unknown';
    this.#stream?.abort();
    this.#onFailure(deadlineError(kind, provider, limitMs));
  }

  #onFailure(error: BvraiError): void {
    const provider = this.#candidates[this.#index]?.provider.name;
    this.#context.log.warn({ stage: 'llm', provider, code: error.code, reason: error.message }, 'provider failed');
    if (this.#passedOn) this.#fail(error);
    else this.#tryNext(error);
  }

  #stopEndless(): void {
    this.#context.log.warn({ stage: 'llm', characters: this.#characters }, 'reply over the token limit, stopped');
    this.#stream?.abort();
    this.#end();
    this.#sink({ type: 'generation-finished', reason: 'length' });
  }

  #fail(error: BvraiError): void {
    this.#end();
    this.#sink({ type: 'generation-failed', error });
  }

  #end(): void {
    this.#done = true;
    this.#watchdog.stop();
    this.#context.signal.removeEventListener('abort', this.#onAbort);
  }
}
