/** A share of `npm run fuzz`: vendors that say anything at all, through the live driver of each adapter. */
import { expect, it } from 'vitest';
import { ADAPTERS } from './adapters.ts';
import { fuzzAdapter } from './fuzz-adapter.ts';

const SEED = 20_261_128;
const MESSAGES = 1_000;

it.each(ADAPTERS.map((adapter) => [adapter.name, adapter] as const))(
  '%s ends every stream once, whatever it is told, and keeps nothing',
  async (_name, adapter) => {
    const report = await fuzzAdapter(adapter, MESSAGES, SEED);
    expect(report.faults).toEqual([]);
    expect(report.messages).toBeGreaterThanOrEqual(MESSAGES);
    expect(report.parts).toBeGreaterThanOrEqual(report.streams);
  },
  120_000,
);
