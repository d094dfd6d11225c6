/** How a language model is tried out while callers are kept away from it. */
import type { Clock } from '../../core/clock.ts';
import type { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { RouteEntry } from '../ports.ts';
import type { LlmPart, LlmProvider } from '../providers/spec.ts';
import type { Probe } from './health.ts';

/** Nobody's words. The shortest question to which every model has an answer. */
const QUESTION = 'Answer with the one word: ok';

/** Asks for one token; the first one, or an end without any, is health. */
export function llmProbe(provider: LlmProvider, entry: RouteEntry, deps: { clock: Clock; log: Log }): Probe {
  return (done, signal, connecting) => {
    const request = {
      model: entry.model,
      options: entry.options,
      messages: [{ role: 'user' as const, content: QUESTION }],
      questionsAndAnswers: [],
      maxOutputTokens: 1,
    };
    let over = false;
    const finish = (error?: BvraiError): void => {
      if (over) return;
      over = true;
      done(error);
    };
    const onPart = (part: LlmPart): void => {
      if (part.type === 'generation-failed') finish(part.error);
      else if (part.type === 'text-delta' || part.type === 'generation-finished') finish();
    };
    provider.generate(request, onPart, { ...deps, signal, connecting });
  };
}
