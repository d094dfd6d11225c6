/** The stream over an in-memory socket and a virtual clock; over real sockets: tests/media-socket. */
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../core/clock.ts';
import { memoryLog } from '../../core/log.ts';
import type { CallListener, CallPort, WireEndReason } from '../call-port.ts';
import type { MediaSocket, MediaSocketHandler, UpgradeRequest } from '../socket/socket.ts';
import type { StreamStats, TwilioStreamOptions } from './stream-options.ts';
import { serveTwilioStream } from './stream.ts';

const upgrade: UpgradeRequest = { url: '/media', path: '/media', headers: new Map(), remoteAddress: '192.0.2.7' };

/** A socket without a network: what is sent stays in `sent`, and `buffered` says how much the peer has not taken. */
class MemorySocket implements MediaSocket {
  readonly upgrade = upgrade;
  readonly remoteAddress = upgrade.remoteAddress;
  readonly sent: string[] = [];
  readonly closes: number[] = [];
  pings = 0;
  started = false;
  buffered = 0;

  sendText(text: string): void {
    this.sent.push(text);
  }
  ping(): void {
    this.pings++;
  }
  bufferedBytes(): number {
    return this.buffered;
  }
  close(code: number): void {
    this.closes.push(code);
  }
  terminate(): void {
    this.closes.push(1006);
  }
  markStarted(): void {
    this.started = true;
  }
}

interface Rig {
  readonly clock: VirtualClock;
  readonly socket: MemorySocket;
  readonly handler: MediaSocketHandler;
  readonly log: ReturnType<typeof memoryLog>;
  readonly audio: Buffer[];
  readonly ends: WireEndReason[];
  readonly stats: StreamStats[];
  port: CallPort | undefined;
}

function rig(changes: Partial<TwilioStreamOptions> & { listener?: Partial<CallListener> } = {}): Rig {
  const clock = new VirtualClock();
  const log = memoryLog();
  const socket = new MemorySocket();
  const audio: Buffer[] = [];
  const ends: WireEndReason[] = [];
  const stats: StreamStats[] = [];
  const made: { port: CallPort | undefined } = { port: undefined };
  const handler = serveTwilioStream(socket, {
    clock,
    log,
    authorise: () => ({ ok: true }),
    accept: (port) => {
      made.port = port;
      return {
        onAudio: (payload) => audio.push(Buffer.from(payload)),
        onMark() {},
        onDtmf() {},
        onEnd: (reason) => ends.push(reason),
        ...changes.listener,
      };
    },
    onStats: (told) => stats.push(told),
    ...changes,
  });
  return Object.assign(made, { clock, socket, handler, log, audio, ends, stats });
}

const START = JSON.stringify({
  event: 'start',
  streamSid: 'MZ1',
  start: {
    callSid: 'CA1',
    accountSid: 'AC1',
    mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 },
    customParameters: { token: 'secret-token' },
  },
});
const STOP = JSON.stringify({ event: 'stop', streamSid: 'MZ1', stop: { callSid: 'CA1' } });

function media(chunk: number, byte = 1): string {
  const payload = Buffer.alloc(160, byte).toString('base64');
  const timestamp = String((chunk - 1) * 20);
  return JSON.stringify({
    event: 'media',
    streamSid: 'MZ1',
    media: { track: 'inbound', chunk: String(chunk), timestamp, payload },
  });
}

/** Real time passes with a frame every 20 ms. */
function talk({ clock, handler }: Rig, frames: number, firstChunk = 1): void {
  for (let i = 0; i < frames; i++) {
    handler.onText(media(firstChunk + i));
    clock.advance(20);
  }
}

describe('the life of a stream', () => {
  it('is accepted, heard, ended once, and leaves nothing behind', () => {
    const r = rig();
    r.handler.onText('{"event":"connected","protocol":"Call","version":"1.0.0"}');
    expect(r.socket.started).toBe(false);
    r.handler.onText(START);
    expect(r.socket.started).toBe(true);
    expect(r.port?.info).toEqual({
      streamSid: 'MZ1',
      callSid: 'CA1',
      accountSid: 'AC1',
      customParameters: { token: 'secret-token' },
    });
    talk(r, 50);
    r.handler.onText(STOP);
    r.handler.onText(STOP);
    r.handler.onClose(1000, '');
    expect(r.ends).toEqual(['stop']);
    expect(r.socket.closes).toEqual([1000]);
    expect(r.clock.pendingTimers).toBe(0);
    expect(r.audio).toHaveLength(50);
    expect(r.stats).toHaveLength(1);
    expect(r.stats[0]).toMatchObject({
      outcome: 'stop',
      framesIn: 53,
      durationMs: 1000,
      inbound: { deliveredMs: 1000 },
      faults: {},
    });
    expect(JSON.stringify(r.log.lines)).not.toContain('secret-token');
  });

  it('is a no-op after its end, from either side', async () => {
    const r = rig();
    r.handler.onText(START);
    talk(r, 5);
    r.handler.onClose(1006, '');
    const heard = r.audio.length;
    r.port?.sendMedia(new Uint8Array(160));
    r.port?.sendMark('x');
    r.port?.sendClear();
    r.port?.hangUp();
    r.handler.onText(media(6));
    r.handler.onBinary(5);
    r.handler.onPong();
    r.handler.onDrain?.();
    r.handler.onClose(1000, 'again');
    r.clock.advance(60_000);
    await Promise.resolve();
    expect(r.ends).toEqual(['socket-closed']);
    expect(r.socket.sent).toEqual([]);
    expect(r.audio).toHaveLength(heard);
    expect(r.clock.pendingTimers).toBe(0);
    expect(r.stats).toHaveLength(1);
  });

  it.each<[string, (r: Rig) => void, WireEndReason | 'refused', number | undefined]>([
    ['stop', (r) => r.handler.onText(STOP), 'stop', 1000],
    ['a closed socket', (r) => r.handler.onClose(1001, ''), 'socket-closed', undefined],
    ['a second start', (r) => r.handler.onText(START), 'protocol', 1008],
    ['hang-up', (r) => r.port?.hangUp(), 'local', 1000],
    ['silence', (r) => r.clock.advance(15_000), 'idle', 1001],
    ['a flood', (r) => Array.from({ length: 500 }, (_, i) => r.handler.onText(media(i + 1))), 'overrun', 1008],
    ['junk', (r) => Array.from({ length: 20 }, () => r.handler.onText('junk')), 'protocol', 1008],
  ])('leaves no timer behind after %s', async (_how, end, reason, code) => {
    const r = rig();
    r.handler.onText(START);
    talk(r, 3);
    end(r);
    await Promise.resolve();
    expect(r.ends).toEqual([reason]);
    expect(r.socket.closes).toEqual(code === undefined ? [] : [code]);
    expect(r.clock.pendingTimers).toBe(0);
    expect(r.stats.map((stats) => stats.outcome)).toEqual([reason]);
  });

  it('has none left when it never became a call', () => {
    const late = rig();
    late.handler.onText(media(1));
    late.clock.advance(5000);
    expect(late.socket.closes).toEqual([1008]);
    const gone = rig();
    gone.handler.onClose(1006, '');
    const refused = rig({ authorise: () => ({ ok: false, reason: 'replayed' }) });
    refused.handler.onText(START);
    expect(refused.socket.closes).toEqual([1008]);
    expect(refused.socket.started).toBe(false);
    expect(refused.log.lines.find((line) => line.fields['security'] === true)?.fields).toMatchObject({
      fault: 'start-refused',
      reason: 'replayed',
      streamSid: 'MZ1',
      callSid: 'CA1',
      remoteAddress: '192.0.2.7',
    });
    const failed = rig({
      authorise: () => {
        throw new Error('no store');
      },
    });
    failed.handler.onText(START);
    for (const r of [late, gone, refused, failed]) {
      expect(r.clock.pendingTimers).toBe(0);
      expect(r.port).toBeUndefined();
      expect(r.stats).toEqual([expect.objectContaining({ outcome: 'refused', info: undefined })]);
    }
  });
});

describe('hanging up', () => {
  it('tells the listener after the call that hung up has returned', async () => {
    const order: string[] = [];
    const r = rig({
      listener: {
        onMark: () => {
          r.port?.hangUp();
          order.push('hung up');
        },
        onEnd: (reason) => order.push(reason),
      },
    });
    r.handler.onText(START);
    r.handler.onText('{"event":"mark","streamSid":"MZ1","mark":{"name":"m"}}');
    await Promise.resolve();
    expect(order).toEqual(['hung up', 'local']);
  });

  it('works while the call is being accepted', async () => {
    const ends: WireEndReason[] = [];
    const r = rig({
      accept: (port) => {
        port.hangUp();
        return { onAudio() {}, onMark() {}, onDtmf() {}, onEnd: (reason) => ends.push(reason) };
      },
    });
    r.handler.onText(START);
    r.handler.onText(media(1));
    await Promise.resolve();
    expect(ends).toEqual(['local']);
    expect(r.clock.pendingTimers).toBe(0);
  });
});

describe('a conversation that throws', () => {
  const boom = (): never => {
    throw new Error('boom');
  };

  it.each<[string, Partial<CallListener>, string]>([
    ['onAudio', { onAudio: boom }, media(1)],
    ['onMark', { onMark: boom }, '{"event":"mark","streamSid":"MZ1","mark":{"name":"m"}}'],
    ['onDtmf', { onDtmf: boom }, '{"event":"dtmf","streamSid":"MZ1","dtmf":{"digit":"1"}}'],
  ])('in %s ends its call with 1011', (_where, listener, text) => {
    const r = rig({ listener });
    r.handler.onText(START);
    r.handler.onText(text);
    r.handler.onText(text);
    expect(r.ends).toEqual(['local']);
    expect(r.socket.closes).toEqual([1011]);
    expect(r.clock.pendingTimers).toBe(0);
    const errors = r.log.lines.filter((line) => line.level === 'error');
    expect(errors).toHaveLength(1);
    expect(errors[0]?.fields).toMatchObject({ streamSid: 'MZ1', callSid: 'CA1' });
  });

  it('on the silence of a timer ends its call, not the process', () => {
    const r = rig({ listener: { onAudio: boom } });
    r.handler.onText(START);
    r.clock.advance(1000);
    expect(r.ends).toEqual(['local']);
    expect(r.clock.pendingTimers).toBe(0);
  });

  it('at its end, or in the metrics, is only logged', () => {
    const r = rig({ listener: { onEnd: boom }, onStats: boom });
    r.handler.onText(START);
    r.handler.onText(STOP);
    expect(r.log.lines.filter((line) => line.level === 'error')).toHaveLength(2);
    expect(r.clock.pendingTimers).toBe(0);
  });

  it('in accept is logged, and nothing else is called', () => {
    const r = rig({ accept: boom });
    r.handler.onText(START);
    r.handler.onText(media(1));
    expect(r.socket.closes).toEqual([1011]);
    expect(r.log.lines.find((line) => line.level === 'error')?.fields).toMatchObject({ callSid: 'CA1' });
    expect(r.clock.pendingTimers).toBe(0);
  });
});

describe('silence and stalls', () => {
  it('goes on delivering audio at real time while nothing arrives, and loses nothing that comes late', () => {
    const r = rig();
    r.handler.onText(START);
    talk(r, 50);
    r.clock.advance(4000);
    const silentMs = r.audio.filter((frame) => frame[0] === 0xff).length * 20;
    expect(silentMs).toBeGreaterThan(3900);
    expect(silentMs).toBeLessThanOrEqual(4000);
    for (let i = 0; i < 200; i++) r.handler.onText(media(51 + i, 2));
    expect(r.audio.filter((frame) => frame[0] === 2)).toHaveLength(200);
    expect(r.ends).toEqual([]);
  });

  it('releases a frame whose predecessor is lost after 60 ms', () => {
    const r = rig();
    r.handler.onText(START);
    talk(r, 10);
    r.handler.onText(media(13, 7));
    r.clock.advance(59);
    expect(r.audio).toHaveLength(10);
    r.clock.advance(1);
    expect(r.audio.slice(10).map((frame) => frame[0])).toEqual([0xff, 0xff, 7]);
  });

  it('pings every 10 s of silence, and lives as long as the peer answers', () => {
    const r = rig();
    r.handler.onText(START);
    for (let i = 1; i <= 5; i++) {
      r.clock.advance(10_000);
      expect(r.socket.pings).toBe(i);
      r.handler.onPong();
      r.clock.advance(0.5);
    }
    r.clock.advance(14_998);
    expect(r.ends).toEqual([]);
    r.clock.advance(10);
    expect(r.ends).toEqual(['idle']);
  });

  it('sets no timer per frame', () => {
    let timers = 0;
    const clock = new VirtualClock();
    const counting = {
      nowMs: () => clock.nowMs(),
      after: (delayMs: number, callback: () => void) => {
        timers++;
        return clock.after(delayMs, callback);
      },
    };
    const r = rig({ clock: counting });
    r.handler.onText(START);
    talk({ ...r, clock }, 500);
    expect(timers).toBeLessThan(80);
  });
});

describe('backpressure', () => {
  it('ends the call when too much waits for too long', async () => {
    const r = rig();
    r.handler.onText(START);
    r.socket.buffered = 16 * 1024;
    r.port?.sendMedia(new Uint8Array(160));
    expect(r.port?.isCongested()).toBe(false);
    r.clock.advance(900);
    r.socket.buffered = 300 * 1024;
    r.port?.sendMedia(new Uint8Array(160));
    expect(r.port?.isCongested()).toBe(true);
    r.clock.advance(4_999);
    expect(r.ends).toEqual([]);
    r.clock.advance(1);
    await Promise.resolve();
    expect(r.ends).toEqual(['backpressure']);
    expect(r.socket.closes).toEqual([1013]);
    expect(r.stats[0]?.outbound).toEqual({
      framesOut: 2,
      audioOutMs: 40,
      maxBufferedBytes: 300 * 1024,
      backpressureEpisodes: 1,
    });
  });

  it('forgives a peer that catches up', () => {
    const r = rig();
    r.handler.onText(START);
    for (let i = 0; i < 2; i++) {
      r.socket.buffered = 300 * 1024;
      r.port?.sendMedia(new Uint8Array(160));
      r.clock.advance(2_500);
      r.socket.buffered = i % 2 === 0 ? 0 : 1000;
      if (i % 2 === 0) r.handler.onDrain?.();
      r.clock.advance(3_000);
    }
    expect(r.ends).toEqual([]);
  });

  it('ends it at once when far too much waits, after the send has returned', async () => {
    const r = rig();
    r.handler.onText(START);
    r.socket.buffered = 3 * 1024 * 1024;
    r.port?.sendMedia(new Uint8Array(160));
    expect(r.ends).toEqual([]);
    await Promise.resolve();
    expect(r.ends).toEqual(['backpressure']);
    expect(r.clock.pendingTimers).toBe(0);
  });
});
