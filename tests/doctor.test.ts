/** What `npm run doctor` finds out, over the vendors' emulated wires. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Faults } from '../bench/emulators/faults.ts';
import { readConfig } from '../src/config.ts';
import { examine, report } from '../src/doctor.ts';
import type { Diagnosis } from '../src/doctor.ts';
import { startEmulatedCloud } from './support/cloud.ts';
import type { EmulatedCloud } from './support/cloud.ts';

let cloud: EmulatedCloud | undefined;

afterEach(async () => {
  const { deepgram, openai, elevenlabs, anthropic } = cloud ?? {};
  // It leaves nothing behind.
  for (const vendor of [deepgram, openai, elevenlabs, anthropic]) {
    if (vendor) await expect.poll(() => vendor.connections, { timeout: 10_000 }).toBe(0);
  }
  await cloud?.close();
  cloud = undefined;
});

async function examined(
  { faults = {}, environment = {} }: { faults?: Faults; environment?: Record<string, string> },
  deadlineMs?: number,
): Promise<readonly Diagnosis[]> {
  cloud = await startEmulatedCloud({
    deepgram: { faults },
    openai: { faults },
    elevenlabs: { faults },
    anthropic: { faults },
  });
  return await examine(readConfig({ ...cloud.environment, ...environment }, ''), deadlineMs);
}

const CLOUD = [
  'deepgram stt',
  'openai stt',
  'elevenlabs stt',
  'openai llm',
  'anthropic llm',
  'elevenlabs tts',
  'deepgram tts',
  'openai tts',
];
const found = (diagnoses: readonly Diagnosis[]) =>
  Object.fromEntries(
    diagnoses.map(({ provider, stage, outcome }) => [
      `${provider} ${stage}`,
      outcome.type === 'sick' ? outcome.error.code : outcome.type,
    ]),
  );
const all = (outcome: string) => Object.fromEntries(CLOUD.map((each) => [each, outcome]));
const EMBEDDED = { 'embedded stt': 'healthy', 'embedded llm': 'healthy', 'embedded tts': 'healthy' };

describe('the doctor', () => {
  it('finds the healthy healthy', async () => {
    const diagnoses = await examined({}, 30_000);
    expect(found(diagnoses)).toEqual({ ...EMBEDDED, ...all('healthy') });
    const told = report(diagnoses);
    expect(told).toMatch(/^anthropic {3}llm {4}\d+ ms to the first token, tools, open-ended$/mu);
    // Of what an embedded engine cannot do nothing is said.
    expect(told).toMatch(/^embedded {4}llm {4}\d+ ms to the first token$/mu);
    expect(told).toMatch(
      /^elevenlabs {2}tts {4}\d+ ms to the first byte, gives μ-law, word times, several utterances/mu,
    );
    expect(told).toMatch(/^deepgram {4}stt {4}\d+ ms .*, takes μ-law, word times, eager end of turn, decides turns$/mu);
  });

  it('says what is wrong with a key, without showing it', async () => {
    const keys = ['DEEPGRAM', 'OPENAI', 'ELEVENLABS', 'ANTHROPIC'].map((name) => [`${name}_API_KEY`, 'not-the-key']);
    const diagnoses = await examined({ environment: Object.fromEntries(keys) }, 30_000);
    expect(found(diagnoses)).toEqual({ ...EMBEDDED, ...all('provider.auth') });
    const told = report(diagnoses);
    expect(told).toMatch(/anthropic +llm +FAILED \(provider\.auth\) .*status 401.*Check the API key/u);
    expect(told).not.toContain('not-the-key');
  });

  it('gives up on those who hang', async () => {
    const codes = found(await examined({ faults: { hang: true } }, 3_000));
    for (const who of CLOUD) expect([who, codes[who]]).toEqual([who, expect.stringMatching(/^provider\.timeout-/)]);
  });

  it('examines the embedded engines when nothing is configured, and says what could be', async () => {
    const diagnoses = await examine(readConfig({}, ''), 30_000);
    expect(found(diagnoses)).toEqual({ ...EMBEDDED, ...all('not-configured') });
    expect(report(diagnoses)).toMatch(/^anthropic {3}llm {4}not configured \(ANTHROPIC_API_KEY\)$/mu);
  });
});
