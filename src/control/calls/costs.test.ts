import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CallUsage } from '../../pipeline/ports.ts';
import { priceCall } from './costs.ts';
import type { EndedCall } from './costs.ts';
import { NO_PRICES, readPrices } from './prices.ts';
import type { Prices } from './prices.ts';

const PRICES = {
  telephony: { inbound: { usd_per_minute: 0.0085 }, outbound: { usd_per_minute: 0.014, billed_unit_s: 1 } },
  stt: [
    { provider: 'deepgram', usd_per_minute: 0.006 },
    { provider: 'deepgram', model: 'nova-3', usd_per_minute: 0.012 },
  ],
  llm: [{ provider: 'openai', usd_per_million_input_tokens: 0.15, usd_per_million_output_tokens: 0.6 }],
  tts: [{ provider: 'elevenlabs', usd_per_million_characters: 50 }],
};
const llm = {
  provider: 'openai',
  model: 'gpt',
  requests: 1,
  unreported_requests: 0,
  input_tokens: 0,
  output_tokens: 0,
};
const nothing: CallUsage = { stt: [], llm: [], tts: [] };
const ended: EndedCall = {
  direction: 'inbound',
  channel: 'phone',
  durationMs: 61_000,
  usages: [nothing],
  isComplete: true,
};

let directory: string;
let prices: Prices;
const fileWith = async (text: string): Promise<string> => {
  const path = join(directory, 'prices.json');
  await writeFile(path, text);
  return path;
};
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bvrai-prices-'));
  prices = await readPrices(await fileWith(JSON.stringify(PRICES)));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe('what a call costs', () => {
  it('is each part by its price: of the model, or of the provider; telephony by units that were begun', () => {
    const usage: CallUsage = {
      stt: [
        { provider: 'deepgram', model: 'nova-3', audio_ms: 60_000 },
        { provider: 'deepgram', model: 'flux-general-en', audio_ms: 30_000 },
      ],
      llm: [{ ...llm, input_tokens: 2_000, output_tokens: 500 }],
      tts: [{ provider: 'elevenlabs', model: 'eleven_flash_v2_5', characters: 1_234 }],
    };
    const priced = priceCall({ ...ended, usages: [usage] }, prices);
    expect(priced.costs).toEqual({ telephony: 0.017, stt: 0.015, llm: 0.0006, tts: 0.0617 });
    expect(priced.usage).toMatchObject({
      telephony: { duration_ms: 61_000, cost_usd: 0.017 },
      stt: [{ cost_usd: 0.012 }, { cost_usd: 0.003 }],
      missing_prices: [],
      is_minimum: false,
    });
    const outbound = priceCall({ ...ended, direction: 'outbound', durationMs: 30_500 }, prices);
    expect(outbound.costs.telephony).toBe(0.007_233);
  });

  it('is nothing for what was not used, for the embedded engines and for the carrier of a browser', () => {
    const embedded = { provider: 'embedded', model: null };
    const usage: CallUsage = {
      stt: [{ ...embedded, audio_ms: 9_000 }],
      llm: [{ ...llm, ...embedded }],
      tts: [{ ...embedded, characters: 90 }],
    };
    for (const usages of [[usage], [nothing]]) {
      const { costs, usage: priced } = priceCall({ ...ended, channel: 'web', usages }, NO_PRICES);
      expect(costs).toEqual({ telephony: 0, stt: 0, llm: 0, tts: 0 });
      expect(priced).toMatchObject({ telephony: null, missing_prices: [], is_minimum: false });
    }
  });

  it('is not known where a price is missing, which is named', () => {
    const usage: CallUsage = {
      ...nothing,
      stt: [
        { provider: 'deepgram', model: 'nova-3', audio_ms: 60_000 },
        { provider: 'openai', model: 'gpt-live-transcribe', audio_ms: 60_000 },
      ],
    };
    const priced = priceCall({ ...ended, usages: [usage] }, { ...prices, telephony: {} });
    expect(priced.costs).toEqual({ telephony: null, stt: null, llm: 0, tts: 0 });
    expect(priced.usage.missing_prices).toEqual([
      { stage: 'telephony', provider: null, model: null },
      { stage: 'stt', provider: 'openai', model: 'gpt-live-transcribe' },
    ]);
  });

  it('is a minimum when a request was not accounted for, and not known when none was', () => {
    const told = { ...llm, requests: 3, unreported_requests: 1, input_tokens: 1_000_000 };
    const untold = { ...llm, model: 'other', unreported_requests: 1 };
    const some = priceCall({ ...ended, usages: [{ ...nothing, llm: [told, untold] }] }, prices);
    expect(some.costs.llm).toBe(0.15);
    expect(some.usage).toMatchObject({ is_minimum: true, missing_prices: [], llm: [{}, { cost_usd: null }] });
    const none = priceCall({ ...ended, usages: [{ ...nothing, llm: [untold] }] }, prices);
    expect(none.costs.llm).toBeNull();
  });

  it('adds up what several streams used, and knows of a server that died that there was more', () => {
    const usage: CallUsage = {
      stt: [{ provider: 'deepgram', model: 'nova-3', audio_ms: 60_000 }],
      llm: [{ ...llm, unreported_requests: 1, input_tokens: 10, output_tokens: 1 }],
      tts: [{ provider: 'elevenlabs', model: null, characters: 10 }],
    };
    const priced = priceCall({ ...ended, usages: [usage, usage, nothing], isComplete: false }, prices);
    expect(priced.usage).toMatchObject({
      stt: [{ audio_ms: 120_000, cost_usd: 0.024 }],
      llm: [{ requests: 2, unreported_requests: 2, input_tokens: 20, output_tokens: 2 }],
      tts: [{ characters: 20 }],
      is_minimum: true,
    });
    const unknown = priceCall({ ...ended, usages: [], isComplete: false }, prices);
    expect(unknown.costs).toEqual({ telephony: 0.017, stt: null, llm: null, tts: null });
  });
});

describe('the file of prices', () => {
  it.each([
    ['{', 'is not readable JSON'],
    ['{"stt":[{"provider":"deepgram"}]}', 'usd_per_minute'],
    ['{"tts":[{"provider":"x","usd_per_million_characters":-1}]}', 'usd_per_million_characters'],
    ['{"llm":[{"provider":"x","usd_per_token":1}]}', 'usd_per_token'],
    ['{"telephony":{"inbound":{"usd_per_minute":1,"billed_unit_s":0}}}', 'billed_unit_s'],
    ['{"tts":[{"provider":"x","usd_per_million_characters":5000}]}', 'usd_per_million_characters'],
    [JSON.stringify({ stt: [PRICES.stt[0], PRICES.stt[0]] }), 'two prices for stt deepgram'],
  ])('is refused with a clear word: %s', async (text, fault) => {
    const read = readPrices(await fileWith(text));
    await expect(read).rejects.toMatchObject({ code: 'config.invalid', message: expect.stringContaining(fault) });
  });

  it('is refused when it is not there, and need not be', async () => {
    const read = readPrices(join(directory, 'none.json'));
    await expect(read).rejects.toMatchObject({ code: 'config.invalid', message: expect.stringContaining('none.json') });
    expect(await readPrices(undefined)).toEqual(NO_PRICES);
  });
});
