/** docs/reliability.md, "Media socket", over real sockets; after each fault another call on the same listener goes on. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { VirtualClock } from '../../src/core/clock.ts';
import { StreamTokens } from '../../src/media/twilio/tokens.ts';
import { expectNoLeaks, openHandles } from '../support/leaks.ts';
import { Phone, RawPhone, RecordedCall, TestServer, frame, implementations, tone, until } from './support.ts';
import type { ServerOptions } from './support.ts';

describe.each(implementations)('faults of the media socket (%s)', (implementation) => {
  const cleanUps: (() => unknown)[] = [];
  const uncaught = vi.fn<(error: Error) => void>();
  process.on('uncaughtExceptionMonitor', uncaught);

  /** A server with a call in progress, which must survive whatever the test does beside it. */
  async function setUp(options: ServerOptions = {}): Promise<{ server: TestServer; neighbour: Phone }> {
    const handles = openHandles();
    const server = await TestServer.start(implementation, options);
    const neighbour = await server.dial();
    await neighbour.exchange();
    cleanUps.push(async () => {
      await neighbour.exchange();
      expect(neighbour.closeCode).toBeUndefined();
      expect(uncaught).not.toHaveBeenCalled();
      await server.listener.close();
      expect(await neighbour.closed()).toBe(1001);
      await expectNoLeaks(handles);
      for (const call of server.calls.values()) {
        expect(call.ends).toHaveLength(1);
        expect(call.audioAfterEnd).toBe(0);
      }
    });
    return { server, neighbour };
  }

  afterEach(async () => {
    while (cleanUps.length > 0) await cleanUps.pop()?.();
  });

  /** The log says what happened and to whom. */
  async function expectBlame(server: TestServer, fault: string, phone: Phone | RawPhone): Promise<void> {
    // The far side may see the end of its socket first.
    await until(`a log line about ${fault}`, () => server.fault(fault) !== undefined);
    const line = server.fault(fault);
    expect(line?.fields).toMatchObject({ streamSid: phone.streamSid, callSid: phone.callSid });
    expect(String(line?.fields['remoteAddress'])).toContain('127.0.0.1');
  }

  it('1: drops frames that are binary or no JSON, and closes with 1008 at the twentieth', async () => {
    const { server } = await setUp();
    const phone = await server.dial();
    for (let i = 0; i < 10; i++) phone.send('this is not JSON {');
    for (let i = 0; i < 9; i++) phone.send(Buffer.from([1, 2, 3]));
    await phone.exchange();
    phone.send('[]');
    expect(await phone.closed()).toBe(1008);
    await until('the call ends', () => server.call(phone).ends.length > 0);
    expect(server.call(phone).ends).toEqual(['protocol']);
    await expectBlame(server, 'bad-frame', phone);
    await expectBlame(server, 'binary-frame', phone);
    expect(server.statsOf(phone)?.faults).toMatchObject({ 'bad-frame': 11, 'binary-frame': 9 });
    expect(server.lines.filter((line) => line.fields['fault'] === 'bad-frame')).toHaveLength(1);
  });

  it('2: closes with 1009 on a frame over 64 KiB', async () => {
    const { server } = await setUp();
    const phone = await server.dial();
    phone.send('x'.repeat(64 * 1024));
    await phone.exchange();
    phone.send('x'.repeat(64 * 1024 + 1));
    expect(await phone.closed()).toBe(1009);
    await until('the call ends', () => server.call(phone).ends.length > 0);
    expect(server.call(phone).ends).toEqual(['socket-closed']);
    await expectBlame(server, 'socket-failed', phone);
    expect(server.fault('socket-failed')?.fields['code']).toBe(1009);
  });

  it('2: does not read a frame of megabytes', async () => {
    const { server } = await setUp();
    const phone = await server.dial();
    phone.send('x'.repeat(8 * 1024 * 1024));
    expect([1006, 1009]).toContain(await phone.closed());
    await until('the call ends', () => server.call(phone).ends.length > 0);
    await expectBlame(server, 'socket-failed', phone);
  });

  // uWebSockets.js cuts a peer off without a close frame, and reads an unmasked frame as a masked one.
  const wire = implementation === 'ws' ? { utf8: 1007, broken: 1002 } : { utf8: undefined, broken: undefined };

  it('3: survives invalid UTF-8', async () => {
    const { server } = await setUp();
    const phone = await RawPhone.open(server.port);
    phone.start();
    await until('the call starts', () => server.calls.has(phone.callSid));
    phone.tcp.write(frame(1, Buffer.from([0x22, 0xc3, 0x28, 0x22])));
    await until('the socket is cut', () => phone.closed);
    expect(phone.closeCode).toBe(wire.utf8);
    await expectBlame(server, 'socket-failed', phone);
    expect(server.fault('socket-failed')?.fields['code']).toBe(1007);
    expect(server.call(phone).ends).toEqual(['socket-closed']);
  });

  it.each([
    ['a reserved opcode', frame(3, Buffer.from('hello'))],
    ['a reserved bit', frame(1, Buffer.from('hello'), { reservedBits: 0x40 })],
    ['a control frame of 200 bytes', frame(9, Buffer.alloc(200))],
    ['a close frame with an invalid code', frame(8, Buffer.from([0x00, 0x05]))],
  ])('3: survives %s', async (_what, bytes) => {
    const { server } = await setUp();
    const phone = await RawPhone.open(server.port);
    phone.start();
    await until('the call starts', () => server.calls.has(phone.callSid));
    phone.tcp.write(bytes);
    await until('the call ends', () => server.call(phone).ends.length > 0);
    await until('the peer is told or cut off', () => phone.closed || phone.closeCode !== undefined);
    expect(phone.closeCode).toBe(wire.broken);
    const line = server.lines.find(({ message }) => message === 'media stream ended');
    expect(line?.fields).toMatchObject({ streamSid: phone.streamSid, callSid: phone.callSid });
    expect(server.call(phone).ends).toEqual(['socket-closed']);
    phone.tcp.destroy();
  });

  it('3: survives unmasked frames', async () => {
    const { server } = await setUp();
    const phone = await RawPhone.open(server.port);
    phone.start();
    await until('the call starts', () => server.calls.has(phone.callSid));
    for (let i = 0; i < 50; i++) phone.tcp.write(frame(1, Buffer.from('{"event":"stop"}'), { masked: false }));
    // uWebSockets.js may wait for more of the frames it takes for masked ones: then the end of the connection ends it.
    if (implementation === 'uws') phone.tcp.end();
    await until('the peer is told or cut off', () => phone.closed || phone.closeCode !== undefined);
    expect(phone.closeCode).toBe(wire.broken);
    await until('the call ends', () => server.call(phone).ends.length > 0);
    phone.tcp.destroy();
  });

  it('4: ignores messages before the start', async () => {
    const { server } = await setUp();
    const phone = await Phone.open(server.port);
    for (let chunk = 1; chunk <= 10; chunk++) phone.send(phone.mediaText(chunk, tone(0x44)));
    phone.start();
    await until('the call starts', () => server.calls.has(phone.callSid));
    await phone.exchange();
    expect(server.call(phone).tones).toEqual([0x11]);
    const line = server.fault('before-start');
    expect(line?.fields).toMatchObject({ event: 'media' });
    expect(String(line?.fields['remoteAddress'])).toContain('127.0.0.1');
    phone.hangUp();
    await phone.closed();
    await until('the stats come', () => server.statsOf(phone) !== undefined);
    expect(server.statsOf(phone)?.faults['before-start']).toBe(10);
  });

  it('4: closes with 1008 when no start comes in time', async () => {
    const { server } = await setUp({ limits: { startWithinMs: 150 } });
    const phone = await Phone.open(server.port);
    phone.send('{"event":"connected","protocol":"Call","version":"1.0.0"}');
    expect(await phone.closed()).toBe(1008);
    expect(phone.closeReason).toBe('no-start');
    expect(String(server.fault('no-start')?.fields['remoteAddress'])).toContain('127.0.0.1');
    expect(server.stats.at(-1)).toMatchObject({ outcome: 'refused', info: undefined });
  });

  it('5: closes with 1008 on a second start, and the log calls it a security event', async () => {
    const { server } = await setUp();
    const phone = await server.dial();
    phone.start();
    expect(await phone.closed()).toBe(1008);
    await until('the call ends', () => server.call(phone).ends.length > 0);
    expect(server.call(phone).ends).toEqual(['protocol']);
    await expectBlame(server, 'second-start', phone);
    expect(server.fault('second-start')?.fields).toMatchObject({ security: true });
  });

  it('6: drops messages for another stream', async () => {
    const { server, neighbour } = await setUp();
    const phone = await server.dial();
    phone.send(phone.mediaText(1, tone(0x66), neighbour.streamSid));
    phone.send(JSON.stringify({ event: 'stop', streamSid: neighbour.streamSid, stop: {} }));
    await phone.exchange();
    expect(server.call(phone).tones).toEqual([0x11]);
    expect(server.call(neighbour).tones).not.toContain(0x66);
    await expectBlame(server, 'wrong-stream', phone);
    expect(server.fault('wrong-stream')?.fields['claimed']).toBe(neighbour.streamSid);
    phone.hangUp();
    await phone.closed();
  });

  it('7: drops duplicates, mends the order, and fills what stays missing with silence', async () => {
    const { server } = await setUp({ limits: { reorderWithinMs: 60, silenceAfterMs: 5000 } });
    const phone = await server.dial();
    const say = (chunk: number) => phone.send(phone.mediaText(chunk, tone(chunk)));
    for (const chunk of [1, 2, 2, 1, 4, 3, 5, 5]) say(chunk);
    say(9);
    await until('the frame after the hole is given up waiting', () => server.call(phone).tones.includes(9));
    say(7);
    say(10);
    await until('all frames are heard', () => server.call(phone).tones.includes(10));
    const heard = Buffer.concat(server.call(phone).heard);
    const expected = [1, 2, 3, 4, 5, 0xff, 0xff, 0xff, 9, 10].map((value) => tone(value));
    expect(heard.equals(Buffer.concat(expected))).toBe(true);
    await expectBlame(server, 'old-frame', phone);
    phone.hangUp();
    await until('the stats come', () => server.statsOf(phone) !== undefined);
    expect(server.statsOf(phone)?.faults['old-frame']).toBe(4);
  });

  it('8: drops payloads that are no base64, empty or too long, and the call goes on', async () => {
    const { server } = await setUp();
    const phone = await server.dial();
    for (const payload of ['not base64!', '', '====', 'AAA', tone(1, 8001).toString('base64'), 'A-_A']) {
      phone.send(phone.mediaText(1, payload));
    }
    await phone.exchange();
    expect(server.call(phone).tones).toEqual([0x11]);
    await expectBlame(server, 'bad-media', phone);
    phone.send(phone.mediaText(2, tone(1, 1024 * 1024)));
    expect([1006, 1009]).toContain(await phone.closed());
    await until('the stats come', () => server.statsOf(phone) !== undefined);
    expect(server.statsOf(phone)?.faults['bad-media']).toBe(6);
  });

  it('9: closes with 1008 on audio far beyond real time, having delivered a bounded amount', async () => {
    const { server } = await setUp();
    const phone = await server.dial();
    for (let chunk = 1; chunk <= 1000; chunk++) phone.send(phone.mediaText(chunk, tone(0x55)));
    expect(await phone.closed()).toBe(1008);
    expect(phone.closeReason).toBe('overrun');
    await until('the call ends', () => server.call(phone).ends.length > 0);
    expect(server.call(phone).ends).toEqual(['overrun']);
    expect(server.call(phone).tones.length).toBeLessThan(600);
    await expectBlame(server, 'overrun', phone);
  });

  it('9: closes with 1008 on a flood of messages without audio', async () => {
    const { server } = await setUp();
    const phone = await server.dial();
    for (let i = 0; i < 12_000; i++) phone.send('{"event":"whatever"}');
    expect(await phone.closed()).toBe(1008);
    await expectBlame(server, 'overrun', phone);
  });

  it('10: ignores events and fields it does not know', async () => {
    const { server } = await setUp();
    const phone = await server.dial();
    for (let i = 0; i < 40; i++)
      phone.send(JSON.stringify({ event: `event-${i}`, streamSid: phone.streamSid, surprise: [i] }));
    await phone.exchange();
    await expectBlame(server, 'unknown-event', phone);
    expect(server.lines.filter((line) => line.fields['fault'] === 'unknown-event')).toHaveLength(1);
    phone.hangUp();
    await phone.closed();
  });

  it('12: tells the call at once that its socket was reset', async () => {
    const { server } = await setUp();
    const phone = await RawPhone.open(server.port);
    phone.start();
    await until('the call starts', () => server.calls.has(phone.callSid));
    phone.tcp.resetAndDestroy();
    await until('the call ends', () => server.call(phone).ends.length > 0);
    // Not by the idle watchdog, which would have pinged first and would say so.
    expect(server.statsOf(phone)?.pings).toBe(0);
    expect(server.call(phone).ends).toEqual(['socket-closed']);
  });

  it('13: pings a silent peer and gives it up when it does not answer', async () => {
    const { server } = await setUp({ limits: { idleAfterMs: 150, pongWithinMs: 150 } });
    const halfOpen = await RawPhone.open(server.port);
    halfOpen.start();
    const silent = await server.dial();
    await until('the half-open call ends', () => server.calls.get(halfOpen.callSid)?.ends.length === 1);
    expect(server.call(halfOpen).ends).toEqual(['idle']);
    await expectBlame(server, 'idle', halfOpen);
    expect(server.statsOf(halfOpen)?.pings).toBe(1);
    // One that says nothing but answers pings is alive.
    await silent.exchange();
    expect(server.call(silent).ends).toEqual([]);
    silent.hangUp();
    await silent.closed();
    halfOpen.tcp.destroy();
  });

  it('14: ends the call of a peer that does not take our audio', async () => {
    const { server } = await setUp({ limits: { backpressureWithinMs: 200 } });
    const phone = await RawPhone.open(server.port);
    phone.start();
    await until('the call starts', () => server.calls.has(phone.callSid));
    phone.tcp.pause();
    const call = server.call(phone);
    expect(call.port.isCongested()).toBe(false);
    const audio = tone(0x77, 8000);
    await until('the peer is given up', () => {
      for (let i = 0; i < 20 && !call.port.isCongested(); i++) call.port.sendMedia(audio);
      return call.ends.length > 0;
    });
    expect(call.ends).toEqual(['backpressure']);
    await expectBlame(server, 'backpressure', phone);
    const outbound = server.statsOf(phone)?.outbound;
    expect(outbound?.maxBufferedBytes).toBeGreaterThan(16 * 1024);
    expect(outbound?.maxBufferedBytes).toBeLessThan(4 * 1024 * 1024);
    expect(server.fault('backpressure')?.fields).toMatchObject({ closeCode: 1013 });
    phone.tcp.destroy();
  });

  it('15: takes a token once, for its own call, within its lifetime', async () => {
    const clock = new VirtualClock();
    const tokens = new StreamTokens({ clock });
    const { server } = await setUp({
      authorise: ({ customParameters, callSid }) => {
        const { token } = customParameters;
        return token === undefined || tokens.redeem(token, callSid).ok ? { ok: true } : { ok: false, reason: 'token' };
      },
    });
    const ring = async (tokenFor: (phone: Phone) => string): Promise<Phone> => {
      const phone = await Phone.open(server.port);
      phone.start({ token: tokenFor(phone) });
      return phone;
    };
    let token = '';
    const good = await ring(({ callSid }) => (token = tokens.mint({ callSid, agentId: 'a' })));
    await good.exchange();
    const replay = await ring(() => token);
    expect(await replay.closed()).toBe(1008);
    expect(server.calls.has(replay.callSid)).toBe(false);
    await expectBlame(server, 'start-refused', replay);
    expect(server.fault('start-refused')?.fields).toMatchObject({ security: true });
    const stolen = await ring(() => tokens.mint({ callSid: 'CA-other', agentId: 'a' }));
    expect(await stolen.closed()).toBe(1008);
    const late = await ring(({ callSid }) => {
      const minted = tokens.mint({ callSid, agentId: 'a' });
      clock.advance(60_000);
      return minted;
    });
    expect(await late.closed()).toBe(1008);
    await good.exchange();
    good.hangUp();
    await good.closed();
  });

  it('refuses an audio format it cannot serve, and says so', async () => {
    const { server } = await setUp();
    const phone = await Phone.open(server.port);
    phone.send(phone.startText().replace('audio/x-mulaw', 'audio/opus'));
    expect(await phone.closed()).toBe(1003);
    expect(String(server.fault('bad-frame')?.fields['error'])).toContain('audio/opus');
  });

  it('ends only the call whose conversation throws', async () => {
    const explosive = new Set<string>();
    const { server } = await setUp({
      accept: (port) => {
        if (port.info.customParameters['when'] === 'accept') throw new Error('accept exploded');
        const call = new RecordedCall(port);
        if (port.info.customParameters['when'] === 'audio') {
          explosive.add(port.info.callSid);
          call.onAudio = () => {
            throw new Error('listener exploded');
          };
        }
        return call;
      },
    });
    const phone = await server.dial({ when: 'audio' });
    phone.speak(tone(1));
    expect(await phone.closed()).toBe(1011);
    expect(server.call(phone).ends).toEqual(['local']);
    await expectBlame(server, 'listener-threw', phone);
    const other = await Phone.open(server.port);
    other.start({ when: 'accept' });
    expect(await other.closed()).toBe(1011);
  });

  it('carries marks, digits, clears, stop and hang-up', async () => {
    const { server } = await setUp();
    const phone = await server.dial();
    const call = server.call(phone);
    call.port.sendMark('greeting "1"');
    call.port.sendClear();
    await until('both arrive', () => phone.messages.length === 2);
    expect(phone.messages).toEqual([
      { event: 'mark', streamSid: phone.streamSid, mark: { name: 'greeting "1"' } },
      { event: 'clear', streamSid: phone.streamSid },
    ]);
    phone.send(
      JSON.stringify({
        event: 'mark',
        sequenceNumber: '4',
        streamSid: phone.streamSid,
        mark: { name: 'greeting "1"' },
      }),
    );
    phone.send(
      JSON.stringify({ event: 'dtmf', streamSid: phone.streamSid, dtmf: { track: 'inbound_track', digit: '#' } }),
    );
    await until('both come back', () => call.digits.length === 1);
    expect(call.marks).toEqual(['greeting "1"']);
    phone.send(
      JSON.stringify({
        event: 'stop',
        sequenceNumber: '5',
        streamSid: phone.streamSid,
        stop: { callSid: phone.callSid },
      }),
    );
    expect(await phone.closed()).toBe(1000);
    expect(call.ends).toEqual(['stop']);

    const second = await server.dial();
    server.call(second).port.hangUp();
    server.call(second).port.hangUp();
    server.call(second).port.sendMedia(tone(1));
    expect(await second.closed()).toBe(1000);
    expect(server.call(second).ends).toEqual(['local']);
    expect(second.messages).toEqual([]);
  });
});
