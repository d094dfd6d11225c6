/** What the parts of a call cost, by what they used and the operator's prices. Pure. */
import type { CallUsage } from '../../pipeline/ports.ts';
import { priceOf } from './prices.ts';
import type { Prices } from './prices.ts';

/** Runs on the operator's own machine, and bills nobody. */
const FREE_PROVIDER = 'embedded';
/** The most that a column of `calls` takes. */
const MAX_USD = 999_999;

type Used<Kind extends keyof CallUsage> = CallUsage[Kind][number];
/** In US dollars; null: not known. */
type Priced<Part> = Part & { readonly cost_usd: number | null };

export interface PricedUsage {
  /** Null: a browser's call, which no carrier carries. */
  readonly telephony: Priced<{ readonly duration_ms: number }> | null;
  readonly stt: Priced<Used<'stt'>>[];
  readonly llm: Priced<Used<'llm'>>[];
  readonly tts: Priced<Used<'tts'>>[];
  /** Why a cost is not known. */
  readonly missing_prices: MissingPrice[];
  /** There was more, of which the amount is not known. */
  readonly is_minimum: boolean;
}

export interface MissingPrice {
  readonly stage: Stage;
  /** Null: the carrier's, for the direction of the call. */
  readonly provider: string | null;
  readonly model: string | null;
}

type Stage = 'telephony' | 'stt' | 'llm' | 'tts';
/** In US dollars; null: not known, since a price is missing or nothing is known of what was used. */
export type StageCosts = Readonly<Record<Stage, number | null>>;

export interface EndedCall {
  readonly direction: 'inbound' | 'outbound';
  readonly channel: 'phone' | 'web';
  /** From its stream's start. */
  readonly durationMs: number;
  /** Of each of its media streams; none: nothing is known of what it used. */
  readonly usages: readonly CallUsage[];
  /** False: of one of them nobody has said that this was all. */
  readonly isComplete: boolean;
}

export function priceCall(call: EndedCall, prices: Prices): { usage: PricedUsage; costs: StageCosts } {
  const { usages, isComplete, channel, durationMs } = call;
  const telephony =
    channel === 'web' ? null : { duration_ms: durationMs, cost_usd: telephonyCost(call, prices.telephony) };
  const sum = sumOfUsages(usages);
  const stt = sum.stt.map((used) => priced(used, sttCost(used, prices.stt)));
  const llm = sum.llm.map((used) => priced(used, llmCost(used, prices.llm)));
  const tts = sum.tts.map((used) => priced(used, ttsCost(used, prices.tts)));
  const isKnown = usages.length > 0;
  const missing_prices: MissingPrice[] = [
    ...(telephony?.cost_usd === null ? [{ stage: 'telephony' as const, provider: null, model: null }] : []),
    ...missing('stt', stt, prices.stt),
    ...missing('llm', llm, prices.llm),
    ...missing('tts', tts, prices.tts),
  ];
  const is_minimum = !isKnown || !isComplete || llm.some((used) => used.unreported_requests > 0);
  const stageCost = (stage: Stage, parts: readonly Priced<object>[]): number | null =>
    isKnown && !missing_prices.some((price) => price.stage === stage) ? sumOfKnown(parts) : null;
  return {
    usage: { telephony, stt, llm, tts, missing_prices, is_minimum },
    costs: {
      telephony: telephony ? telephony.cost_usd : 0,
      stt: stageCost('stt', stt),
      llm: stageCost('llm', llm),
      tts: stageCost('tts', tts),
    },
  };
}

/** By provider and model, of which several streams may have counted the same. */
function added<Part extends { readonly provider: string; readonly model: string | null }>(
  parts: readonly Part[],
  sum: (one: Part, other: Part) => Part,
): Part[] {
  const sums = new Map<string, Part>();
  for (const part of parts) {
    const key = JSON.stringify([part.provider, part.model]);
    const known = sums.get(key);
    sums.set(key, known ? sum(known, part) : part);
  }
  return [...sums.values()];
}

function sumOfUsages(usages: readonly CallUsage[]): CallUsage {
  return {
    stt: added(
      usages.flatMap(({ stt }) => stt),
      (one, other) => ({ ...one, audio_ms: one.audio_ms + other.audio_ms }),
    ),
    llm: added(
      usages.flatMap(({ llm }) => llm),
      (one, other) => ({
        ...one,
        requests: one.requests + other.requests,
        unreported_requests: one.unreported_requests + other.unreported_requests,
        input_tokens: one.input_tokens + other.input_tokens,
        output_tokens: one.output_tokens + other.output_tokens,
      }),
    ),
    tts: added(
      usages.flatMap(({ tts }) => tts),
      (one, other) => ({ ...one, characters: one.characters + other.characters }),
    ),
  };
}

/** To the millionth of a dollar, as it is kept. */
function priced<Part extends object>(part: Part, costUsd: number | null): Priced<Part> {
  return { ...part, cost_usd: costUsd === null ? null : rounded(costUsd) };
}

function rounded(costUsd: number): number {
  return Math.min(MAX_USD, Math.round(costUsd * 1e6) / 1e6);
}

function telephonyCost({ direction, durationMs }: EndedCall, prices: Prices['telephony']): number | null {
  const price = prices[direction];
  if (durationMs === 0) return 0;
  if (!price) return null;
  const units = Math.ceil(durationMs / 1000 / price.billed_unit_s);
  return rounded((units * price.billed_unit_s * price.usd_per_minute) / 60);
}

function sttCost(used: Used<'stt'>, prices: Prices['stt']): number | null {
  if (used.provider === FREE_PROVIDER) return 0;
  const price = priceOf(prices, used);
  return price ? (used.audio_ms / 60_000) * price.usd_per_minute : null;
}

function llmCost(used: Used<'llm'>, prices: Prices['llm']): number | null {
  if (used.provider === FREE_PROVIDER) return 0;
  const price = priceOf(prices, used);
  const isUnknown = used.unreported_requests > 0 && used.input_tokens + used.output_tokens === 0;
  if (!price || isUnknown) return null;
  const input = used.input_tokens * price.usd_per_million_input_tokens;
  return (input + used.output_tokens * price.usd_per_million_output_tokens) / 1e6;
}

function ttsCost(used: Used<'tts'>, prices: Prices['tts']): number | null {
  if (used.provider === FREE_PROVIDER) return 0;
  const price = priceOf(prices, used);
  return price ? (used.characters / 1e6) * price.usd_per_million_characters : null;
}

function missing(
  stage: Stage,
  parts: readonly Priced<{ readonly provider: string; readonly model: string | null }>[],
  prices: readonly { readonly provider: string; readonly model?: string | undefined }[],
): MissingPrice[] {
  return parts
    .filter((part) => part.cost_usd === null && priceOf(prices, part) === undefined)
    .map(({ provider, model }) => ({ stage, provider, model }));
}

/** Nothing used costs nothing; of what was used and is known to none, neither is the sum. */
function sumOfKnown(parts: readonly Priced<object>[]): number | null {
  const known = parts.flatMap(({ cost_usd: costUsd }) => (costUsd === null ? [] : [costUsd]));
  if (known.length === 0 && parts.length > 0) return null;
  return rounded(known.reduce((sum, costUsd) => sum + costUsd, 0));
}
