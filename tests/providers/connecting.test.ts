/** How long adapters wait for a connection, and what they tell of it: real sockets over loopback, their deadlines on a virtual clock. */
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import { startElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import { startOpenAiEmulator } from '../../bench/emulators/openai.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { createAnthropicLlm } from '../../src/pipeline/providers/anthropic/llm.ts';
import { createDeepgramStt } from '../../src/pipeline/providers/deepgram/stt.ts';
import { createDeepgramTts } from '../../src/pipeline/providers/deepgram/tts.ts';
import { createElevenLabsStt } from '../../src/pipeline/providers/elevenlabs/stt.ts';
import { createElevenLabsTts } from '../../src/pipeline/providers/elevenlabs/tts.ts';
import { createOpenAiLlm } from '../../src/pipeline/providers/openai/llm.ts';
import { createOpenAiStt } from '../../src/pipeline/providers/openai/realtime-stt.ts';
import type { Connecting, LearnedWait, StreamContext } from '../../src/pipeline/providers/spec.ts';
import { WarmSockets } from '../../src/pipeline/router/warm-pool.ts';
import { until } from './harness.ts';

const LIMIT_MS = 640;
const SESSION_LIMIT_MS = 420;
const STT = { language: 'en', phrases: [] };
const LLM = { messages: [{ role: 'user', content: 'x' }] as const, questionsAndAnswers: [], maxOutputTokens: 5 };

let clock: VirtualClock;
let scope: AbortController;
let connection: LearnedWait & { readonly waits: number[] };
let session: LearnedWait & { readonly waits: number[] };
let connecting: Connecting;
/** What the stream told, in order. */
let told: string[];
const closing: (() => unknown)[] = [];

const recording = (limitMs: number): LearnedWait & { readonly waits: number[] } => {
  const waits: number[] = [];
  return { limitMs, waits, took: (waitMs) => waits.push(waitMs) };
};

beforeEach(() => {
  clock = new VirtualClock();
  scope = new AbortController();
  connection = recording(LIMIT_MS);
  session = recording(SESSION_LIMIT_MS);
  connecting = { clock, connection, session };
  told = [];
});

afterEach(async () => {
  scope.abort();
  for (const close of closing.splice(0).toReversed()) await close();
});

const context = (): StreamContext => ({ clock, log: silentLog, signal: scope.signal, connecting });
const sink = (part: { readonly type: string }): void => {
  told.push('error' in part ? (part.error as { code: string }).code : part.type);
};

/** A vendor whose machine takes connections and says nothing: an upgrade, or TLS, never comes about. */
async function startSilent(): Promise<{ host: string; taken: () => number }> {
  const sockets = new Set<Socket>();
  let taken = 0;
  const server: Server = createServer((socket) => {
    taken++;
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { host: `127.0.0.1:${address.port}`, taken: () => taken };
}

const SOCKETS = [
  ['deepgram', (baseUrl: string) => createDeepgramStt({ apiKey: 'k', baseUrl }).open(STT, sink, context())],
  ['scribe', (baseUrl: string) => createElevenLabsStt({ apiKey: 'k', baseUrl }).open(STT, sink, context())],
  ['openai realtime', (baseUrl: string) => createOpenAiStt({ apiKey: 'k', baseUrl }).open(STT, sink, context())],
  ['aura', (baseUrl: string) => createDeepgramTts({ apiKey: 'k', baseUrl }).open({ language: 'en' }, sink, context())],
  [
    'elevenlabs',
    (baseUrl: string) => createElevenLabsTts({ apiKey: 'k', baseUrl }).open({ language: 'en' }, sink, context()),
  ],
] as const;

describe('a vendor that takes the connection and says nothing', () => {
  it.each(SOCKETS)('%s is given up at the limit, which is told as a wait', async (_name, open) => {
    const vendor = await startSilent();
    open(`http://${vendor.host}`);
    await until('dialled', () => vendor.taken() === 1);
    clock.advance(LIMIT_MS - 1);
    expect(told).toEqual([]);
    clock.advance(1);
    expect(told).toEqual(['provider.timeout-connect']);
    expect(connection.waits).toEqual([LIMIT_MS]);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([
    ['openai', (baseUrl: string) => createOpenAiLlm({ apiKey: 'k', baseUrl })],
    ['anthropic', (baseUrl: string) => createAnthropicLlm({ apiKey: 'k', baseUrl })],
  ] as const)('%s is given up at the limit when TLS does not come about', async (_name, create) => {
    const vendor = await startSilent();
    const provider = create(`https://${vendor.host}/v1`);
    closing.push(() => provider.close());
    provider.generate(LLM, sink, context());
    await until('dialled', () => vendor.taken() === 1);
    clock.advance(LIMIT_MS - 1);
    expect(connection.waits).toEqual([]);
    clock.advance(1);
    await until('failed', () => told.length > 0);
    expect(told).toEqual(['provider.timeout-connect']);
    expect(connection.waits).toEqual([LIMIT_MS]);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('a connection that comes about', () => {
  it('of a socket tells how long the upgrade took', async () => {
    const emulator = await startDeepgramEmulator();
    closing.push(() => emulator.close());
    createDeepgramStt({ apiKey: emulator.settings.apiKey, baseUrl: emulator.url }).open(STT, sink, context());
    clock.advance(70);
    await until('open', () => told.includes('stream-opened'));
    expect(connection.waits).toEqual([70]);
    expect(session.waits).toEqual([]);
  });

  it('of HTTP tells it once, however many requests it serves', async () => {
    const emulator = await startOpenAiEmulator();
    closing.push(() => emulator.close());
    const provider = createOpenAiLlm({ apiKey: emulator.settings.apiKey, baseUrl: emulator.url });
    closing.push(() => provider.close());
    for (let request = 1; request <= 3; request++) {
      provider.generate(LLM, sink, context());
      const ends = (): number => told.filter((type) => type === 'generation-finished').length;
      await until('an answer', () => ends() === request);
      await until('the tail read', () => emulator.activeRequests === 0);
    }
    expect(connection.waits).toHaveLength(1);
  });

  it('that is opened ahead for HTTP tells it too', async () => {
    const emulator = await startOpenAiEmulator();
    closing.push(() => emulator.close());
    const provider = createOpenAiLlm({ apiKey: emulator.settings.apiKey, baseUrl: emulator.url });
    closing.push(() => provider.close());
    provider.prewarm?.({}, () => true, connecting);
    await until('connected', () => connection.waits.length === 1);
  });
});

describe('a session', () => {
  it('tells how long the vendor took to begin it', async () => {
    const emulator = await startElevenLabsEmulator();
    closing.push(() => emulator.close());
    createElevenLabsStt({ apiKey: emulator.settings.apiKey, baseUrl: emulator.url }).open(STT, sink, context());
    await until('open', () => told.includes('stream-opened'));
    expect(connection.waits).toHaveLength(1);
    expect(session.waits).toHaveLength(1);
  });

  it('that is not begun is given up at its own limit', async () => {
    const emulator = await startElevenLabsEmulator({ faults: { stallAfter: 0 } });
    closing.push(() => emulator.close());
    createElevenLabsStt({ apiKey: emulator.settings.apiKey, baseUrl: emulator.url }).open(STT, sink, context());
    await until('connected', () => connection.waits.length === 1);
    clock.advance(SESSION_LIMIT_MS);
    expect(told).toEqual(['provider.timeout-connect']);
    expect(session.waits).toEqual([SESSION_LIMIT_MS]);
  });
});

describe('sockets opened ahead', () => {
  let warm: WarmSockets;
  beforeEach(() => {
    warm = new WarmSockets({ clock, log: silentLog });
    closing.push(() => warm.close());
  });

  it('tell how long they took, and nothing more when they are used', async () => {
    const emulator = await startDeepgramEmulator();
    closing.push(() => emulator.close());
    const settings = { apiKey: emulator.settings.apiKey, baseUrl: emulator.url, dialler: warm };
    const provider = createDeepgramStt(settings);
    provider.prewarm?.(STT, () => true, connecting);
    clock.advance(50);
    await until('opened ahead', () => connection.waits.length === 1);
    provider.open(STT, sink, context());
    clock.advance(0);
    await until('open', () => told.includes('stream-opened'));
    expect(connection.waits).toEqual([50]);
  });

  it('are waited for to the longest limit, and tell what it was for nothing', async () => {
    const vendor = await startSilent();
    const provider = createDeepgramStt({ apiKey: 'k', baseUrl: `http://${vendor.host}`, dialler: warm });
    provider.prewarm?.(STT, () => true, connecting);
    await until('dialled', () => vendor.taken() === 1);
    clock.advance(2_999);
    expect(connection.waits).toEqual([]);
    clock.advance(1);
    expect(connection.waits).toEqual([3_000]);
  });

  it('that are taken while they connect have waited since they were dialled', async () => {
    const vendor = await startSilent();
    const provider = createDeepgramStt({ apiKey: 'k', baseUrl: `http://${vendor.host}`, dialler: warm });
    provider.prewarm?.(STT, () => true, connecting);
    await until('dialled', () => vendor.taken() === 1);
    clock.advance(100);
    provider.open(STT, sink, context());
    clock.advance(LIMIT_MS);
    expect(told).toEqual(['provider.timeout-connect']);
    expect(connection.waits).toEqual([100 + LIMIT_MS]);
  });
});
