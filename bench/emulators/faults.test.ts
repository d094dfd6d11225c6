import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startElevenLabsEmulator } from './elevenlabs.ts';
import { GARBAGE, spoilAudio } from './faults.ts';
import type { AudioFault, Faults } from './faults.ts';
import { startOpenAiEmulator } from './openai.ts';
import type { OpenAiEmulator } from './openai.ts';

const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const emulator of opened.splice(0)) await emulator.close();
});

async function own<Running extends { close(): Promise<void> }>(starting: Promise<Running>): Promise<Running> {
  const running = await starting;
  opened.push(running);
  return running;
}

const openai = (faults: Faults = {}) =>
  own(startOpenAiEmulator({ firstTokenMs: 0, interTokenMs: 0, reply: () => 'One two three.', faults }));

/** Silence that is expected, and silence that is not. */
const SILENCE_MS = 400;
const PATIENCE_MS = 10_000;

/** What came of a request: its status (0: none), its events, and how it ended. `waitMs`: gives up on silence. */
interface Outcome {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly text: string;
  /** `ended`, `silent` or the code of an error. */
  readonly end: string;
}

function chat(emulator: OpenAiEmulator, { model = 'm', silenceMs = PATIENCE_MS } = {}): Promise<Outcome> {
  const body = JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'hi' }] });
  const headers = { authorization: `Bearer ${emulator.settings.apiKey}`, 'content-type': 'application/json' };
  return new Promise((resolve) => {
    let status = 0;
    let retryAfter: string | undefined;
    let text = '';
    const asked = httpRequest(`${emulator.url}/chat/completions`, { method: 'POST', headers, agent: false });
    const done = (end: string): void => {
      clearTimeout(silence);
      resolve({ status, retryAfter, text, end });
      asked.destroy();
    };
    const silence = setTimeout(() => done('silent'), silenceMs);
    asked.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? 'error'));
    asked.on('response', (response) => {
      status = response.statusCode ?? 0;
      retryAfter = response.headers['retry-after'];
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8');
        silence.refresh();
      });
      response.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? 'error'));
      response.on('end', () => done('ended'));
    });
    asked.end(body);
  });
}

const events = ({ text }: Outcome): number => text.split('\n\n').length - 1;

describe('faults over HTTP', () => {
  it.each([
    ['nobody listens', { refuseConnections: true }, { status: 0, end: 'ECONNREFUSED' }],
    ['401', { refuse: { status: 401 } }, { status: 401, end: 'ended' }],
    ['429', { refuse: { status: 429, retryAfterSeconds: 3 } }, { status: 429, retryAfter: '3' }],
    ['500', { refuse: { status: 500 } }, { status: 500, end: 'ended' }],
    ['a hang', { hang: true }, { status: 0, end: 'silent' }],
    ['a stall after the headers', { stallAfter: 0 }, { status: 200, text: '', end: 'silent' }],
    ['a cut line', { closeAfter: { messages: 2, code: 1011 } }, { status: 200, end: 'ECONNRESET' }],
    ['a reset', { resetAfter: 2 }, { status: 200, end: 'ECONNRESET' }],
  ] as const)('%s', async (_what, faults, expected) => {
    const silenceMs = 'end' in expected && expected.end === 'silent' ? SILENCE_MS : PATIENCE_MS;
    expect(await chat(await openai(faults), { silenceMs })).toMatchObject(expected);
  });

  it('sends what it said before it breaks off', async () => {
    for (const faults of [{ closeAfter: { messages: 2, code: 1006 } }, { resetAfter: 2 }]) {
      expect(events(await chat(await openai(faults)))).toBe(2);
    }
  });

  it('stops in mid-stream, and garbles', async () => {
    const emulator = await openai({ stallAfter: 2 });
    const stopped = await chat(emulator, { silenceMs: SILENCE_MS });
    expect([events(stopped), stopped.end]).toEqual([2, 'silent']);
    emulator.settings.faults = { garbageAfter: 1 };
    const garbled = await chat(emulator);
    expect(garbled.text.split('\n\n')[1]).toBe(`data: ${GARBAGE}`);
    expect(garbled).toMatchObject({ status: 200, end: 'ended' });
  });

  it('drips', async () => {
    const emulator = await openai({ drip: { gapMs: 30 } });
    const startMs = performance.now();
    const outcome = await chat(emulator);
    expect([events(outcome), outcome.end]).toEqual([6, 'ended']);
    // Timers may come a little early by the other clock.
    expect(performance.now() - startMs).toBeGreaterThan(5 * 29);
  });

  it('hold for one model, or for one path', async () => {
    const emulator = await openai();
    emulator.settings.modelFaults = { dead: { refuse: { status: 503 } } };
    expect(await chat(emulator, { model: 'dead' })).toMatchObject({ status: 503 });
    expect(await chat(emulator)).toMatchObject({ status: 200, end: 'ended' });
    emulator.settings.pathFaults = { '/chat/': { refuse: { status: 502 } }, '/speech': { hang: true } };
    expect(await chat(emulator)).toMatchObject({ status: 502 });
    expect(await chat(emulator, { model: 'dead' })).toMatchObject({ status: 503 });
    emulator.settings.modelFaults = { dead: { refuseConnections: true } };
    expect(await chat(emulator, { model: 'dead' })).toMatchObject({ status: 0, end: 'ECONNRESET' });
  });

  it('refuses connections as a process that died, and listens at the same port again', async () => {
    const emulator = await openai();
    const idle = connect(emulator.port, '127.0.0.1');
    await new Promise((resolve) => idle.once('connect', resolve));
    await expect.poll(() => emulator.connections).toBe(1);
    const gone = new Promise<string>((resolve) =>
      idle.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? '')),
    );
    emulator.settings.faults = { refuseConnections: true };
    expect(await gone).toBe('ECONNRESET');
    expect(await chat(emulator)).toMatchObject({ end: 'ECONNREFUSED' });
    emulator.settings.faults = {};
    expect(await chat(emulator)).toMatchObject({ status: 200, end: 'ended' });
    emulator.settings.faults = { refuseConnections: true };
  });

  it('counts what was asked, refused or not', async () => {
    const emulator = await openai({ refuse: { status: 500 } });
    await chat(emulator);
    await fetch(`${emulator.url}/models`);
    expect(emulator.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'POST /v1/chat/completions',
      'GET /v1/models',
    ]);
    const counts = await fetch(`http://127.0.0.1:${emulator.port}/__emulator/requests`);
    expect(await counts.json()).toEqual({ 'POST /v1/chat/completions': 1, 'GET /v1/models': 1 });
  });
});

/** Says something on a WebSocket, and tells what came back. */
async function speak(faults: Faults, silenceMs = PATIENCE_MS): Promise<{ messages: string[]; code: number | string }> {
  const emulator = await own(startElevenLabsEmulator({ firstAudioMs: 1, speed: 1_000, chunkMs: 20, faults }));
  const url = `${emulator.url}/v1/text-to-speech/v/multi-stream-input?output_format=ulaw_8000&auto_mode=true`;
  const socket = new WebSocket(url, { headers: { 'xi-api-key': emulator.settings.apiKey } });
  const messages: string[] = [];
  const end = await new Promise<number | string>((resolve) => {
    const silence = setTimeout(() => resolve('silent'), silenceMs);
    socket.on('message', (data: Buffer) => {
      messages.push(data.toString('utf8'));
      silence.refresh();
      if (messages.at(-1)?.includes('isFinal')) socket.close(1000);
    });
    socket.on('open', () => {
      socket.send(JSON.stringify({ text: 'Some words. ', context_id: 'c' }));
      socket.send(JSON.stringify({ context_id: 'c', close_context: true }));
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('close', (code) => resolve(code));
  });
  socket.terminate();
  return { messages, code: end };
}

describe('faults over WebSockets', () => {
  it.each([
    ['nobody listens', { refuseConnections: true }, 'ECONNREFUSED', 0],
    ['401', { refuse: { status: 401 } }, 'Unexpected server response: 401', 0],
    ['a hang', { hang: true }, 'silent', 0],
    ['silence', { stallAfter: 0 }, 'silent', 0],
    ['a stop', { stallAfter: 2 }, 'silent', 2],
    ['close at once', { closeAfter: { messages: 0, code: 1008 } }, 1008, 0],
    ['close 1011', { closeAfter: { messages: 2, code: 1011 } }, 1011, 2],
    ['a cut line', { closeAfter: { messages: 2, code: 1006 } }, 1006, 2],
    // As `ws` tells of it.
    ['a reset', { resetAfter: 2 }, 1006, 2],
  ] as const)('%s', async (_what, faults, code, count) => {
    const outcome = await speak(faults, code === 'silent' ? SILENCE_MS : PATIENCE_MS);
    expect([outcome.code, outcome.messages.length]).toEqual([code, count]);
  });

  it('garbles, drips and says no word', async () => {
    const garbled = await speak({ garbageAfter: 1 });
    expect(garbled.messages[1]).toBe(GARBAGE);
    const startMs = performance.now();
    const dripped = await speak({ drip: { gapMs: 20 } });
    expect(dripped.code).toBe(1000);
    expect(performance.now() - startMs).toBeGreaterThan((dripped.messages.length - 1) * 19);
    const empty = await speak({ audio: 'empty' });
    expect(empty).toMatchObject({ code: 1000, messages: [expect.stringContaining('isFinal')] });
    expect(empty.messages).toHaveLength(1);
  });
});

describe('spoilt audio', () => {
  const mulaw = Uint8Array.from({ length: 160 }, (_, index) => index);
  it.each([
    ['wav', 'RIFF', 44 + 640],
    ['mp3', 'ID3', 14 + 160],
    ['pcm-16khz', '', 640],
  ] as const)('%s', (fault: AudioFault, begins, bytes) => {
    const spoilt = Buffer.from(spoilAudio(mulaw, fault, { first: true }) ?? []);
    expect(spoilt.toString('latin1').startsWith(begins)).toBe(true);
    expect(spoilt).toHaveLength(bytes);
    expect(spoilt.subarray(0, 160)).not.toEqual(Buffer.from(mulaw));
    expect(spoilAudio(mulaw, fault, { first: false })?.length).toBeLessThanOrEqual(640);
  });
});

describe('the knobs', () => {
  async function put(emulator: OpenAiEmulator, body: unknown): Promise<{ status: number; answer: unknown }> {
    const response = await fetch(`http://127.0.0.1:${emulator.port}/__emulator/settings`, {
      method: 'PUT',
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return { status: response.status, answer: await response.json() };
  }

  it('turn while it runs, even while everything is refused', async () => {
    const emulator = await openai({ hang: true });
    expect(
      await put(emulator, { faults: { refuse: { status: 500 } }, firstTokenMs: { p50: 1, p95: 2 } }),
    ).toMatchObject({
      status: 200,
      answer: {
        faults: { refuse: { status: 500 } },
        modelFaults: {},
        pathFaults: {},
        firstTokenMs: { p50: 1, p95: 2 },
        interTokenMs: 0,
      },
    });
    expect(await chat(emulator)).toMatchObject({ status: 500 });
    expect(await put(emulator, { faults: {} })).toMatchObject({ status: 200 });
    expect(await chat(emulator)).toMatchObject({ status: 200, end: 'ended' });
  });

  it.each([
    ['{', /not JSON/],
    [{ fault: {} }, /Unrecognized key: "fault"/],
    [{ faults: { hang: 'yes' } }, /faults\.hang/],
    [{ faults: { refuse: { status: 200 } } }, /faults\.refuse\.status/],
    [{ faults: { closeAfter: { messages: 1, code: 1005 } } }, /close code/],
    [{ firstTokenMs: { p50: 3 } }, /firstTokenMs: must be milliseconds/],
    [{ apiKey: 'x' }, /apiKey/],
  ])('refuse %j', async (body, reason) => {
    const emulator = await openai();
    const { status, answer } = await put(emulator, body);
    expect(status).toBe(400);
    expect(JSON.stringify(answer)).toMatch(new RegExp(reason.source.replaceAll('"', '\\\\"')));
    expect(emulator.settings.faults).toEqual({});
  });
});
