/** The embedded responder: a scripted front desk as an LlmProvider. It says only what the agent's answers say. */
import type { Clock } from '../../../core/clock.ts';
import { BvraiError } from '../../../core/errors.ts';
import type { Log } from '../../../core/log.ts';
import { CountedRequest } from '../counted.ts';
import type { LlmPart, LlmProvider, LlmRequest, LlmStream, QuestionAndAnswer, Sink, StreamContext } from '../spec.ts';
import { decide, decideBySimilarity, sharedWords } from './dialogue.ts';
import type { Candidate } from './dialogue.ts';
import { Embedder, similarity } from './embedder.ts';

/** The vectors tell meanings apart, but not "check in" from "check out": equal words must help. */
const SHARED_WORDS_BONUS = 0.2;

export interface Responder extends LlmProvider {
  /** Loads the sentence model (about a second) before the first paraphrase needs it. */
  warm(): Promise<void>;
  /** Computes and keeps the vectors of an agent's questions: else the agent's first paraphrase waits for them. */
  prepare(questionsAndAnswers: readonly QuestionAndAnswer[]): Promise<void>;
  close(): Promise<void>;
}

export function createResponder(options: { readonly log: Log; readonly clock: Clock }): Responder {
  const embedder = new Embedder(options);
  const closing = new AbortController();
  /** Agents are prepared one after the other: a caller waits for one batch of theirs, however many there are. */
  let prepared: Promise<unknown> = Promise.resolve();
  return {
    name: 'embedded',
    generate: (request, sink, context) => generate(embedder, request, sink, context),
    warm: () => embedder.warm(),
    async prepare(questionsAndAnswers) {
      const sentences = questionsAndAnswers.flatMap(({ questions }) => questions);
      const preparing = prepared.then(() => embedder.embed(sentences, closing.signal));
      prepared = preparing.catch(() => {});
      await preparing;
    },
    async close() {
      closing.abort();
      await embedder.close();
    },
  };
}

function generate(embedder: Embedder, request: LlmRequest, sink: Sink<LlmPart>, context: StreamContext): LlmStream {
  // What it says is written already: there are no tokens.
  new CountedRequest(context.usage, 'embedded', undefined).wroteTokens(0);
  const aborter = new AbortController();
  const onAbort = () => aborter.abort();
  if (context.signal.aborted) aborter.abort();
  else context.signal.addEventListener('abort', onAbort, { once: true });
  reply(embedder, request, aborter.signal)
    .then((text) => emit(text, request, sink, aborter.signal))
    .catch((error: unknown) => {
      if (!aborter.signal.aborted) sink({ type: 'generation-failed', error: BvraiError.from(error, 'engine.failed') });
    })
    .finally(() => context.signal.removeEventListener('abort', onAbort));
  return { abort: onAbort };
}

async function reply(embedder: Embedder, request: LlmRequest, signal: AbortSignal): Promise<string> {
  const { messages, questionsAndAnswers } = request;
  const decision = decide(messages, questionsAndAnswers);
  if (decision.type === 'say') return decision.text;
  return decideBySimilarity(messages, decision, await compare(embedder, decision.query, questionsAndAnswers, signal));
}

/** How similar each entry is to the query, by its most similar question. */
export async function compare(
  embedder: Embedder,
  query: string,
  entries: readonly QuestionAndAnswer[],
  signal: AbortSignal,
): Promise<Candidate[]> {
  const sentences = [query, ...entries.flatMap(({ questions }) => questions)];
  const vectors = await embedder.embed(sentences, signal);
  const target = vectors.get(query);
  return entries.map((entry) => {
    const similarities = entry.questions.map((question) => {
      const vector = vectors.get(question);
      return target && vector ? similarity(target, vector) + SHARED_WORDS_BONUS * sharedWords(query, question) : -1;
    });
    return { entry, similarity: Math.max(-1, ...similarities) };
  });
}

/** Clause by clause, as a model's tokens would come. Words stand for tokens. */
function emit(text: string, request: LlmRequest, sink: Sink<LlmPart>, signal: AbortSignal): void {
  const words = text.match(/\S+\s*/g) ?? [];
  const kept = words.slice(0, Math.max(1, request.maxOutputTokens));
  for (const clause of kept.join('').match(/.*?[,.;:?!]+\s+|.+$/gs) ?? []) {
    if (signal.aborted) return;
    sink({ type: 'text-delta', text: clause });
  }
  if (signal.aborted) return;
  sink({ type: 'generation-finished', reason: kept.length < words.length ? 'length' : 'stop' });
}
