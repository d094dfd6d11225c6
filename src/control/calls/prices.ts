/** What vendors charge, as the operator says (PRICES_FILE). None are built in: they change, and no vendor tells its own to a program. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';

/** A price beyond it is a slip: of the unit, or of the decimal point. */
const MAX_USD = 1_000;
const usd = z.number().nonnegative().max(MAX_USD);
const leg = z.strictObject({
  usd_per_minute: usd,
  /** Every unit of this length that was begun is billed. Twilio's are minutes. */
  billed_unit_s: z.int().min(1).max(60).default(60),
});
/** Without a model: of all the provider's models that have no price of their own. */
const whose = { provider: z.string().min(1), model: z.string().min(1).optional() };

const pricesFile = z.strictObject({
  telephony: z.strictObject({ inbound: leg.optional(), outbound: leg.optional() }).default({}),
  stt: z.array(z.strictObject({ ...whose, usd_per_minute: usd })).default([]),
  llm: z
    .array(z.strictObject({ ...whose, usd_per_million_input_tokens: usd, usd_per_million_output_tokens: usd }))
    .default([]),
  tts: z.array(z.strictObject({ ...whose, usd_per_million_characters: usd })).default([]),
});

export type Prices = z.infer<typeof pricesFile>;

/** Nothing has a price: costs are not known. */
export const NO_PRICES: Prices = pricesFile.parse({});

/** Undefined: there is no file. Throws `config.invalid`, naming the file, the field and the fault; a price given twice is one. */
export async function readPrices(path: string | undefined): Promise<Prices> {
  if (path === undefined) return NO_PRICES;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (thrown) {
    throw BvraiError.from(thrown, 'config.invalid', `PRICES_FILE ${path} cannot be read`);
  }
  try {
    return parsePrices(JSON.parse(text));
  } catch (thrown) {
    throw BvraiError.from(thrown, 'config.invalid', `PRICES_FILE ${path} is not readable JSON`);
  }
}

function parsePrices(value: unknown): Prices {
  const parsed = pricesFile.safeParse(value);
  if (!parsed.success)
    throw new BvraiError('config.invalid', `PRICES_FILE holds no valid prices:\n${z.prettifyError(parsed.error)}`);
  for (const stage of ['stt', 'llm', 'tts'] as const) {
    const seen = new Set<string>();
    for (const { provider, model } of parsed.data[stage]) {
      const name = `${provider}${model === undefined ? '' : ` ${model}`}`;
      if (seen.has(name)) throw new BvraiError('config.invalid', `PRICES_FILE has two prices for ${stage} ${name}.`);
      seen.add(name);
    }
  }
  return parsed.data;
}

/** The model's own price, or the provider's; undefined: there is none. */
export function priceOf<Price extends { readonly provider: string; readonly model?: string | undefined }>(
  prices: readonly Price[],
  { provider, model }: { readonly provider: string; readonly model: string | null },
): Price | undefined {
  const ofProvider = prices.filter((price) => price.provider === provider);
  return (
    ofProvider.find((price) => price.model === (model ?? undefined)) ??
    ofProvider.find((price) => price.model === undefined)
  );
}
