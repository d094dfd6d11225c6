/** How adapters count what they send. */
import type { LlmTally, UsageMeter } from './spec.ts';

/** Characters as vendors bill them: code points, without the spaces that only join one text to the next. */
export function charactersOf(text: string): number {
  let characters = 0;
  for (const _ of text.trim()) characters++;
  return characters;
}

/** One request to a language model, counted from its sending on. */
export class CountedRequest {
  readonly #tally: LlmTally | undefined;
  #state: 'sent' | 'reported' | 'refused' = 'sent';
  #inputTokens = 0;
  #outputTokens = 0;

  constructor(meter: UsageMeter | undefined, provider: string, model: string | undefined) {
    this.#tally = meter?.llm(provider, model);
    if (!this.#tally) return;
    this.#tally.requests++;
    this.#tally.unreportedRequests++;
  }

  /** The vendor did not take it: nothing is billed. Once it has told of tokens this changes nothing. */
  refuse(): void {
    if (!this.#tally || this.#state !== 'sent' || this.#inputTokens > 0) return;
    this.#state = 'refused';
    this.#tally.requests--;
    this.#tally.unreportedRequests--;
  }

  /** What the vendor says that it has read. Told again, the newest counts. */
  readTokens(inputTokens: number): void {
    if (!this.#tally || this.#state === 'refused') return;
    this.#tally.inputTokens += inputTokens - this.#inputTokens;
    this.#inputTokens = inputTokens;
  }

  /** What it says that it has written, which is the last that it says; told again, the newest counts. */
  wroteTokens(outputTokens: number): void {
    if (!this.#tally || this.#state === 'refused') return;
    this.#tally.outputTokens += outputTokens - this.#outputTokens;
    this.#outputTokens = outputTokens;
    if (this.#state === 'sent') this.#tally.unreportedRequests--;
    this.#state = 'reported';
  }
}
