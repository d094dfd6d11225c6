/** Adds up what one call asks of vendors. */
import { BYTES_PER_MS } from '../media/call-port.ts';
import type { CallUsage } from './events.ts';
import type { LlmTally, SttTally, TtsTally, UsageMeter } from './providers/spec.ts';

/** Tallies of one kind, by provider and model: an agent's routes bound how many there are. */
class Tallies<Tally> {
  readonly #zero: () => Tally;
  readonly #known = new Map<
    string,
    { readonly provider: string; readonly model: string | null; readonly tally: Tally }
  >();

  constructor(zero: () => Tally) {
    this.#zero = zero;
  }

  of(provider: string, model: string | undefined): Tally {
    const key = JSON.stringify([provider, model]);
    const known = this.#known.get(key);
    if (known) return known.tally;
    const tally = this.#zero();
    this.#known.set(key, { provider, model: model ?? null, tally });
    return tally;
  }

  /** Those that have counted something. */
  map<Row>(toRow: (tally: Tally) => Row | undefined): (Row & { provider: string; model: string | null })[] {
    return [...this.#known.values()].flatMap(({ provider, model, tally }) => {
      const row = toRow(tally);
      return row === undefined ? [] : [{ provider, model, ...row }];
    });
  }
}

export class UsageLedger implements UsageMeter {
  readonly #stt = new Tallies<SttTally>(() => ({ audioBytes: 0 }));
  readonly #llm = new Tallies<LlmTally>(() => ({
    requests: 0,
    unreportedRequests: 0,
    inputTokens: 0,
    outputTokens: 0,
  }));
  readonly #tts = new Tallies<TtsTally>(() => ({ characters: 0 }));

  stt(provider: string, model: string | undefined): SttTally {
    return this.#stt.of(provider, model);
  }

  llm(provider: string, model: string | undefined): LlmTally {
    return this.#llm.of(provider, model);
  }

  tts(provider: string, model: string | undefined): TtsTally {
    return this.#tts.of(provider, model);
  }

  /** All of it so far. */
  total(): CallUsage {
    return {
      stt: this.#stt.map(({ audioBytes }) =>
        audioBytes === 0 ? undefined : { audio_ms: Math.round(audioBytes / BYTES_PER_MS) },
      ),
      llm: this.#llm.map(({ requests, unreportedRequests, inputTokens, outputTokens }) =>
        requests === 0
          ? undefined
          : {
              requests,
              unreported_requests: unreportedRequests,
              input_tokens: inputTokens,
              output_tokens: outputTokens,
            },
      ),
      tts: this.#tts.map(({ characters }) => (characters === 0 ? undefined : { characters })),
    };
  }
}
