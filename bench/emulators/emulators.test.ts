import { Agent, request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startDeepgramEmulator } from './deepgram.ts';
import { startElevenLabsEmulator } from './elevenlabs.ts';
import { encodeMulaw } from './mulaw.ts';
import { startOpenAiEmulator } from './openai.ts';
import { encodeToneSpeech } from './tone-speech.ts';

const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const emulator of opened.splice(0)) await emulator.close();
});

async function own<Running extends { close(): Promise<void> }>(starting: Promise<Running>): Promise<Running> {
  const running = await starting;
  opened.push(running);
  return running;
}

describe('the ElevenLabs emulator', () => {
  /** Says the messages, and tells what came back until the socket closed. */
  async function talk(query: string, messages: readonly unknown[]): Promise<{ answers: unknown[]; code: number }> {
    const emulator = await own(startElevenLabsEmulator({ firstAudioMs: 1, speed: 1_000 }));
    const url = `${emulator.url}/v1/text-to-speech/v/multi-stream-input?output_format=ulaw_8000&auto_mode=true${query}`;
    const socket = new WebSocket(url, { headers: { 'xi-api-key': emulator.settings.apiKey } });
    const answers: unknown[] = [];
    socket.on('message', (data: Buffer) => answers.push(JSON.parse(data.toString('utf8'))));
    socket.on('open', () => messages.forEach((message) => socket.send(JSON.stringify(message))));
    const code = await new Promise<number>((resolve) => socket.on('close', resolve));
    return { answers, code };
  }

  it('refuses a sixth context', async () => {
    const begin = [1, 2, 3, 4, 5, 6].map((n) => ({ text: ' ', context_id: `c${n}` }));
    const { answers, code } = await talk('', begin);
    expect(code).toBe(1008);
    expect(answers).toMatchObject([{ error: 'max_active_conversations', code: 1008 }]);
  });

  it('refuses voice settings for a context that a keep-alive has opened', async () => {
    const settings = { text: ' ', context_id: 'c', voice_settings: { stability: 1 } };
    expect(await talk('', [{ text: '', context_id: 'c' }, settings])).toMatchObject({ code: 1008 });
  });

  it('hangs up on a client that says nothing', async () => {
    const { answers, code } = await talk('&inactivity_timeout=0.05', []);
    expect(code).toBe(1008);
    expect(answers).toMatchObject([{ error: 'input_timeout_exceeded' }]);
  });

  it('still sends what it had when a context is closed, then isFinal', async () => {
    const { answers } = await talk('&inactivity_timeout=0.3', [
      { text: 'Some words. ', context_id: 'c' },
      { context_id: 'c', close_context: true },
    ]);
    expect(answers.at(-2)).toEqual({ isFinal: true, contextId: 'c' });
    expect(answers[0]).toMatchObject({ contextId: 'c', alignment: { chars: ['S', 'o', 'm', 'e', ' '] } });
  });
});

describe('the Flux emulator', () => {
  it('takes thresholds while it listens', async () => {
    const emulator = await own(startDeepgramEmulator({ transcripts: ['Yes.'] }));
    // So sure it never is.
    const url = `${emulator.url}/v2/listen?model=flux-general-en&encoding=mulaw&sample_rate=8000&eot_threshold=1`;
    const socket = new WebSocket(url, { headers: { authorization: `Token ${emulator.settings.apiKey}` } });
    const answers: { type: string; event?: string }[] = [];
    socket.on('message', (data: Buffer) => answers.push(JSON.parse(data.toString('utf8'))));
    const ends = () => answers.filter(({ event }) => event === 'EndOfTurn').length;
    const words = encodeMulaw(encodeToneSpeech('Yes, yes.'));
    const silence = new Uint8Array(1_000 * 8).fill(0xff);
    socket.on('open', () => {
      socket.send(words);
      socket.send(silence);
      socket.send('{"type":"Configure","thresholds":{"eot_timeout_ms":500}}');
    });
    await expect.poll(() => answers.at(-1)?.type, { timeout: 10_000 }).toBe('ConfigureSuccess');
    expect(ends()).toBe(0);
    socket.send(silence);
    await expect.poll(ends, { timeout: 10_000 }).toBe(1);
    socket.close();
  });
});

describe('the connections of an emulator', () => {
  it('are told apart: kept alive for the next request, waiting for an answer, or a WebSocket', async () => {
    const emulator = await own(startElevenLabsEmulator({ firstAudioMs: 1, speed: 1_000 }));
    const headers = { 'xi-api-key': emulator.settings.apiKey };
    const path = '/v1/text-to-speech/v/stream';
    const agent = new Agent({ keepAlive: true });
    const patience = { timeout: 15_000 };
    const post = (onAnswered: () => void): void => {
      const url = `${emulator.url}${path}?output_format=ulaw_8000`;
      request(url, { method: 'POST', headers, agent }, (response) => response.on('close', onAnswered).resume())
        .on('error', onAnswered)
        .end('{"text":"Yes."}');
    };
    await new Promise<void>(post);
    // The client gives its connection back a turn of the event loop later.
    await expect.poll(() => Object.keys(agent.freeSockets), patience).toHaveLength(1);
    const states = (): unknown => emulator.openConnections.map(({ asked, resting }) => [asked, resting]);
    await expect.poll(states, patience).toEqual([[`POST ${path}`, true]]);
    emulator.settings.faults = { hang: true };
    post(() => {});
    await expect.poll(states, patience).toEqual([[`POST ${path}`, false]]);
    emulator.settings.faults = {};
    const stream = '/v1/text-to-speech/v/multi-stream-input';
    const socket = new WebSocket(`${emulator.url}${stream}?output_format=ulaw_8000`, { headers });
    await expect.poll(() => emulator.webSockets, patience).toBe(1);
    expect(states()).toEqual([
      [`POST ${path}`, false],
      [`GET ${stream}`, false],
    ]);
    socket.close();
    await expect.poll(states, patience).toEqual([[`POST ${path}`, false]]);
    agent.destroy();
    await expect.poll(states, patience).toEqual([]);
  });
});

describe('the OpenAI emulator', () => {
  it('refuses what the real one refuses', async () => {
    const emulator = await own(startOpenAiEmulator());
    const post = async (body: unknown, path = '/chat/completions', key = emulator.settings.apiKey) => {
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const headers = { authorization: `Bearer ${key}` };
      return (await fetch(emulator.url + path, { method: 'POST', body: text, headers })).status;
    };
    const good = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
    expect(await post(good)).toBe(200);
    expect(await post(good, '/chat/completions', 'wrong')).toBe(401);
    expect(await post(good, '/completions')).toBe(404);
    const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } };
    const asked = [...good.messages, { role: 'assistant', content: null, tool_calls: [call] }];
    const answered = [...asked, { role: 'tool', tool_call_id: 'c', content: 'x' }];
    const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object' } } };
    expect(await post({ ...good, tools: [tool] })).toBe(200);
    expect(await post({ ...good, messages: [...answered, ...good.messages] })).toBe(200);
    const bad = [
      { ...good, tools: [] },
      { ...good, tools: [{ type: 'function', function: { name: 'a b' } }] },
      { ...good, tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'string' } } }] },
      { ...good, messages: asked },
      { ...good, messages: [...asked, ...good.messages] },
      { ...good, messages: [...answered, { role: 'tool', tool_call_id: 'c', content: 'again' }] },
      { ...good, messages: [...asked, { role: 'tool', tool_call_id: 'other', content: 'x' }] },
      { ...good, messages: [...asked, { role: 'tool', content: 'x' }] },
      { ...good, messages: [{ role: 'assistant', content: null }] },
      { ...good, messages: [{ role: 'user', content: 'x', tool_calls: [call] }] },
      'not json',
      '[]',
      { ...good, model: undefined },
      { ...good, messages: [] },
      { ...good, messages: [{ role: 'robot', content: 'x' }] },
      { ...good, stream_options: { include_usage: true } },
      { ...good, temperature: 3 },
      { ...good, max_tokens: 0 },
    ];
    for (const body of bad) expect([body, await post(body)]).toEqual([body, 400]);
  });
});
