import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { energyDbfs, mulawEncode, SAMPLES_PER_MS } from './audio.ts';
import { type FakeServer, type FakeStream, startFakeServer } from './fake-server.ts';
import { CallFailed, CallRefused, Phone, type PhoneEvent, type RingOptions } from './phone.ts';
import { twilioSignature } from './voice-webhook.ts';

const tone = (durationMs: number, amplitude = 12_000): Uint8Array =>
  mulawEncode(Int16Array.from({ length: durationMs * SAMPLES_PER_MS }, (_, i) => amplitude * Math.sin(i / 2)));

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function serve(options: Parameters<typeof startFakeServer>[0]): Promise<FakeServer> {
  const server = await startFakeServer(options);
  cleanups.push(() => server.close());
  return server;
}

async function ring(server: FakeServer, options: Partial<RingOptions> = {}): Promise<Phone> {
  const phone = await Phone.ring({ serverUrl: server.url, ...options });
  cleanups.push(() => phone.hangUp());
  return phone;
}

/** Rings a server that does nothing of itself; the test drives its end of the stream. */
async function ringQuiet(options: Partial<RingOptions> = {}): Promise<{ phone: Phone; stream: FakeStream }> {
  let started: (stream: FakeStream) => void;
  const streamStarted = new Promise<FakeStream>((resolve) => (started = resolve));
  const server = await serve({ onStart: (stream) => started(stream) });
  const phone = await ring(server, options);
  return { phone, stream: await streamStarted };
}

const find = <T extends PhoneEvent['type']>(phone: Phone, type: T) =>
  phone.events.filter((event): event is Extract<PhoneEvent, { type: T }> => event.type === type);

const ofType = (stream: FakeStream, event: string) =>
  stream.received.filter(({ message }) => message['event'] === event);

describe('ringing', () => {
  it('posts a signed webhook, follows the TwiML and starts the stream as Twilio does', async () => {
    let stream: FakeStream | undefined;
    const server = await serve({ onStart: (started) => (stream = started) });
    const phone = await ring(server, {
      agent: 'front desk',
      from: '+1555',
      to: '+1666',
      authToken: 'secret',
      publicUrl: 'https://voice.example',
    });
    const webhook = server.webhooks[0];
    expect(webhook?.path).toBe('/twilio/voice?agent=front%20desk');
    const form = Object.fromEntries(webhook?.form ?? []);
    expect(form).toMatchObject({
      CallSid: phone.callSid,
      From: '+1555',
      To: '+1666',
      CallStatus: 'ringing',
      Direction: 'inbound',
    });
    expect(webhook?.headers['x-twilio-signature']).toBe(
      twilioSignature('secret', 'https://voice.example/twilio/voice?agent=front%20desk', form),
    );
    await phone.waitUntil('the stream to start', 5000, () => (stream?.received.length ?? 0) >= 3);
    expect(stream?.upgradeHeaders['x-twilio-signature']).toBe(
      twilioSignature('secret', server.url.replace('http', 'ws') + '/media'),
    );
    const [connected, start, media] = stream?.received.map(({ message }) => message) ?? [];
    expect(connected).toEqual({ event: 'connected', protocol: 'Call', version: '1.0.0' });
    expect(start).toMatchObject({
      event: 'start',
      sequenceNumber: '1',
      streamSid: phone.streamSid,
      start: {
        callSid: phone.callSid,
        tracks: ['inbound'],
        mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 },
        customParameters: { token: 'a&b' },
      },
    });
    expect(media).toMatchObject({
      event: 'media',
      sequenceNumber: '2',
      media: { track: 'inbound', chunk: '1', timestamp: '0' },
    });
    expect(phone.callSid).toMatch(/^CA[0-9a-f]{32}$/);
  });

  it('reports a refusal with the words the caller would hear', async () => {
    const server = await serve({
      twiml: () => '<Response><Say>No agent answers this number.</Say><Hangup/></Response>',
    });
    const refused = await Phone.ring({ serverUrl: server.url }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(CallRefused);
    expect(refused).toMatchObject({ spokenText: 'No agent answers this number.' });
  });

  it('says where the call failed when nothing listens, at either door', async () => {
    await expect(Phone.ring({ serverUrl: 'http://127.0.0.1:1' })).rejects.toThrow(/cannot reach .*refused.*npm start/);
    await expect(Phone.ring({ serverUrl: 'localhost' })).rejects.toThrow('not a URL');
    const server = await serve({
      twiml: (url) => `<Response><Connect><Stream url="${url}-not"/></Connect></Response>`,
    });
    await expect(Phone.ring({ serverUrl: server.url })).rejects.toThrow(/cannot open the media stream .*400/);
  });
});

describe('speaking', () => {
  it('sends a frame every 20 ms of real time without drift, numbered as strings', async () => {
    const { phone, stream } = await ringQuiet();
    await phone.sayNothing(1000);
    const frames = Math.floor(phone.nowMs / 20);
    await phone.waitUntil('the frames to arrive', 5000, () => ofType(stream, 'media').length >= frames);
    const media = ofType(stream, 'media').slice(0, frames);
    expect(frames).toBeGreaterThanOrEqual(50);
    for (const [index, { message, atMs }] of media.entries()) {
      expect(message).toMatchObject({
        sequenceNumber: String(index + 2),
        media: { chunk: String(index + 1), timestamp: String(index * 20) },
      });
      // Never before its time; how late is the machine's affair.
      expect(atMs - phone.startedAtMs).toBeGreaterThanOrEqual((index + 1) * 20 - 1);
    }
  });

  it('carries the speech unchanged, and knows its true edges', async () => {
    const { phone, stream } = await ringQuiet();
    const speech = new Uint8Array(4000).fill(0xff);
    speech.set(tone(300), 800);
    const utterance = await phone.say(speech, 'beep');
    await phone.sayNothing(100);
    const sent = Buffer.concat(ofType(stream, 'media').map(({ message }) => payloadOf(message)));
    expect(sent.indexOf(Buffer.from(tone(300)))).toBe((utterance?.startMs ?? 0) * SAMPLES_PER_MS);
    expect(utterance?.label).toBe('beep');
    expect((utterance?.endMs ?? 0) - (utterance?.startMs ?? 0)).toBe(300);
    expect(await phone.say(new Uint8Array(160).fill(0xff))).toBeUndefined();
  });

  it('can send nothing in silence, while the timestamps run on', async () => {
    const { phone, stream } = await ringQuiet({ sendSilence: false });
    await phone.sayNothing(200);
    await phone.say(tone(100));
    await phone.sayNothing(100);
    const media = ofType(stream, 'media').map(({ message }) => message['media']);
    expect(media).toHaveLength(5);
    expect(media[0]).toMatchObject({ chunk: '1' });
    expect(Number(Object(media[0]).timestamp)).toBeGreaterThanOrEqual(200);
  });

  it('presses keys and says stop', async () => {
    const { phone, stream } = await ringQuiet();
    phone.pressKey('5');
    await phone.hangUp();
    await expect.poll(() => ofType(stream, 'stop'), { timeout: 5000 }).toHaveLength(1);
    expect(ofType(stream, 'dtmf')[0]?.message).toMatchObject({
      dtmf: { track: 'inbound_track', digit: '5' },
      streamSid: phone.streamSid,
    });
    expect(ofType(stream, 'stop')[0]?.message).toMatchObject({
      stop: { callSid: phone.callSid, accountSid: phone.accountSid },
    });
    expect(() => phone.pressKey('1')).toThrow('the call is over');
  });
});

describe('listening', () => {
  it('plays in real time, echoing marks in order when they are reached', async () => {
    const { phone, stream } = await ringQuiet();
    stream.mark('empty');
    stream.media(tone(300));
    stream.mark('first');
    stream.media(tone(200));
    stream.mark('second');
    await phone.waitUntil('three marks', 5000, () => ofType(stream, 'mark').length === 3);
    expect(ofType(stream, 'mark').map(({ message }) => message['mark'])).toEqual([
      { name: 'empty' },
      { name: 'first' },
      { name: 'second' },
    ]);
    const [audible] = find(phone, 'agent-audible');
    const echoes = find(phone, 'mark-echo');
    expect(echoes.every((echo) => !echo.cleared)).toBe(true);
    expect((echoes[1]?.atMs ?? 0) - (audible?.atMs ?? 0)).toBeGreaterThanOrEqual(299);
    expect((echoes[2]?.atMs ?? 0) - (audible?.atMs ?? 0)).toBeGreaterThanOrEqual(499);
    expect(phone.underruns.count).toBe(0);
  });

  it('keeps marks to itself when told to', async () => {
    const { phone, stream } = await ringQuiet({ echoMarks: false });
    stream.mark('a');
    await phone.waitUntil('the mark', 5000, () => find(phone, 'mark').length === 1);
    await phone.sayNothing(100);
    expect(ofType(stream, 'mark')).toHaveLength(0);
  });

  it('stops at a clear, and measures barge-in and the answer at the ear', async () => {
    const { phone, stream } = await ringQuiet();
    stream.media(tone(10_000));
    stream.mark('greeting');
    await phone.waitUntilAgentSpeaks(5000);
    const speaking = phone.say(tone(400), 'stop!');
    await phone.sayNothing(200);
    stream.clear();
    await phone.waitUntil('the cleared mark', 5000, () => find(phone, 'mark-echo').length === 1);
    const utterance = await speaking;
    await phone.sayNothing(300);
    stream.media(tone(200));
    await phone.waitForAgent({ silenceMs: 300, timeoutMs: 5000 });
    const [clear] = find(phone, 'clear');
    expect(find(phone, 'mark-echo')[0]?.cleared).toBe(true);
    expect(clear?.droppedMs).toBeGreaterThan(5000);
    // The last audible sample is the last one before the clear.
    expect(utterance?.bargeInStopMs).toBeCloseTo((clear?.atMs ?? 0) - (utterance?.startMs ?? 0), -1);
    expect(utterance?.voiceToVoiceMs).toBeGreaterThanOrEqual(280);
    expect(find(phone, 'reply')[0]?.atMs).toBe(utterance?.replyMs);
    expect(phone.underruns.count).toBe(0);
  });

  it('counts an underrun in the middle of agent speech as silence at the ear', async () => {
    const { phone, stream } = await ringQuiet();
    stream.media(tone(100));
    await phone.waitUntil('the agent', 5000, () => find(phone, 'agent-audible').length === 1);
    const audibleMs = find(phone, 'agent-audible')[0]?.atMs ?? 0;
    await phone.waitUntil('a dry buffer', 5000, () => phone.nowMs > audibleMs + 200);
    stream.media(tone(100));
    await phone.waitUntil('the underrun', 5000, () => phone.underruns.count === 1);
    expect(phone.underruns.totalMs).toBeGreaterThanOrEqual(99);
    expect(energyDbfs(phone.heard(audibleMs + 110, audibleMs + 190))).toBe(-Infinity);
    expect(energyDbfs(phone.heard(audibleMs + 10, audibleMs + 90))).toBeGreaterThan(-20);
  });

  it('complains as Twilio does, and plays on', async () => {
    const { phone, stream } = await ringQuiet();
    stream.socket.send('not json');
    stream.socket.send(Buffer.from([1, 2, 3]));
    stream.socket.send(JSON.stringify({ event: 'media', streamSid: 'MZ0', media: { payload: '' } }));
    stream.send({ event: 'pause' });
    stream.send({ event: 'media', media: { payload: 'not base64!' } });
    stream.send({ event: 'media', media: { payload: '', track: 'outbound' } });
    stream.media(tone(100));
    await phone.waitUntilAgentSpeaks(5000);
    expect(phone.warnings.map(({ code }) => code)).toEqual([31924, 31951, 31951, 31951, 31951, 31951]);
  });

  it('records both sides on one time line', async () => {
    const { phone, stream } = await ringQuiet();
    const folder = await mkdtemp(join(tmpdir(), 'phone-'));
    cleanups.push(() => rm(folder, { recursive: true }));
    const utterance = await phone.say(tone(200));
    stream.media(tone(200, 6000));
    await phone.waitForAgent({ silenceMs: 200, timeoutMs: 5000 });
    await phone.hangUp();
    const path = join(folder, 'new', 'call.wav');
    await phone.writeWav(path);
    const wav = await readFile(path);
    const firstLoud = (channel: number): number => {
      for (let at = 44 + channel * 2, frame = 0; at < wav.length; at += 4, frame++) {
        if (Math.abs(wav.readInt16LE(at)) > 1000) return frame / SAMPLES_PER_MS;
      }
      return -1;
    };
    expect(wav.readUInt16LE(22)).toBe(2);
    expect(firstLoud(0)).toBeCloseTo(utterance?.startMs ?? 0, -0.5);
    expect(firstLoud(1)).toBeCloseTo(utterance?.replyMs ?? 0, -0.5);
    expect((wav.length - 44) / 4 / SAMPLES_PER_MS).toBeGreaterThan(phone.nowMs - 25);
  });
});

describe('ending', () => {
  it('notices that the server closed, with its code, and ends every wait', async () => {
    const { phone, stream } = await ringQuiet();
    const waits = Promise.allSettled([phone.waitForAgent({ timeoutMs: 60_000 }), phone.say(tone(20_000))]);
    await phone.sayNothing(40);
    stream.socket.close(1008, 'enough');
    const [wait, speech] = await waits;
    expect(wait).toMatchObject({ status: 'rejected', reason: expect.any(CallFailed) });
    expect(wait).toMatchObject({
      reason: { message: expect.stringContaining('closed the socket (code 1008, enough) while waiting') },
    });
    expect(speech).toMatchObject({ status: 'rejected', reason: expect.any(CallFailed) });
    expect(await phone.waitForEnd(5000)).toEqual({ by: 'server', code: 1008, reason: 'enough' });
    await expect(phone.say(tone(20))).rejects.toThrow('the call is over');
    expect(await phone.hangUp()).toMatchObject({ by: 'server' });
  });

  it('gives up waiting for an agent that never speaks', async () => {
    const { phone } = await ringQuiet();
    await expect(phone.waitUntilAgentSpeaks(100)).rejects.toThrow('gave up waiting for the agent to speak (100 ms)');
    await expect(phone.waitForEnd(50)).rejects.toThrow('gave up waiting for the call to end (50 ms)');
  });

  it('hangs up when aborted, at its time limit, and only once', async () => {
    const abort = new AbortController();
    const first = await ringQuiet({ signal: abort.signal });
    abort.abort();
    expect(await first.phone.ended).toMatchObject({ by: 'phone', code: 1000 });
    expect(find(first.phone, 'ended')).toHaveLength(1);
    const second = await ringQuiet({ maxCallMs: 200 });
    expect(await second.phone.ended).toMatchObject({ by: 'phone' });
    expect(ofType(second.stream, 'stop')).toHaveLength(1);
  });

  it('leaves no timer or socket behind after twenty calls at once', async () => {
    const server = await serve({ onStart: (stream) => stream.media(tone(200)) });
    const phones = await Promise.all(Array.from({ length: 20 }, () => ring(server)));
    await Promise.all(phones.map((phone) => phone.waitForAgent({ silenceMs: 200, timeoutMs: 10_000 })));
    for (const phone of phones) {
      const expected = Math.floor(phone.nowMs / 20);
      expect(find(phone, 'agent-audible')).toHaveLength(1);
      expect(phone.said().length / 160).toBeGreaterThanOrEqual(expected - 5);
    }
    await Promise.all(phones.map((phone) => phone.hangUp()));
    await server.close();
    cleanups.length = 0;
    await expect
      .poll(
        () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap' || name === 'TCPServerWrap'),
        { timeout: 5000 },
      )
      .toEqual([]);
  });
});

function payloadOf(message: Record<string, unknown>): Buffer {
  return Buffer.from(String(Object(message['media']).payload), 'base64');
}
