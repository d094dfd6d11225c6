/** A media listener with recording calls behind it, and phones (well-behaved and raw) that ring it over loopback. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { systemClock } from '../../src/core/clock.ts';
import { memoryLog } from '../../src/core/log.ts';
import type { LogLine } from '../../src/core/log.ts';
import type { CallListener, CallPort, WireEndReason } from '../../src/media/call-port.ts';
import { listenMedia } from '../../src/media/socket/listen-media.ts';
import type { PortMediaListener } from '../../src/media/socket/listen-media.ts';
import type { MediaRoute } from '../../src/media/socket/socket.ts';
import { loadUws } from '../../src/media/socket/uws-listener.ts';
import type { StreamLimits } from '../../src/media/twilio/limits.ts';
import type { StartFacts, StartVerdict, StreamStats } from '../../src/media/twilio/stream-options.ts';
import { serveTwilioStream } from '../../src/media/twilio/stream.ts';

export type Implementation = 'ws' | 'uws';

/** What this machine can run: the native module needs a recent enough C library. */
export const implementations: readonly Implementation[] = await loadUws().then(
  () => ['ws', 'uws'] as const,
  () => ['ws'] as const,
);

/** Waits for a condition, looking often; fails by name when it does not come. */
export async function until(what: string, condition: () => boolean, deadlineMs = 10_000): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`Waited ${deadlineMs} ms in vain: ${what}`);
    await sleep(5);
  }
}

/** A frame's worth of audio made of one byte value, which tells frames apart; 0xff would be silence. */
export function tone(value: number, byteLength = 160): Buffer {
  return Buffer.alloc(byteLength, value);
}

/** A call as the server's side hears it. It says everything back that is not silence. */
export class RecordedCall implements CallListener {
  readonly port: CallPort;
  readonly heard: Buffer[] = [];
  readonly marks: string[] = [];
  readonly digits: string[] = [];
  readonly ends: WireEndReason[] = [];
  audioAfterEnd = 0;

  constructor(port: CallPort) {
    this.port = port;
  }

  /** The audio that was not silence, one byte value per frame. */
  get tones(): number[] {
    return this.heard.map((audio) => audio[0] ?? 0xff).filter((value) => value !== 0xff);
  }

  onAudio(payload: Uint8Array): void {
    if (this.ends.length > 0) this.audioAfterEnd++;
    this.heard.push(Buffer.from(payload));
    if (payload[0] !== 0xff) this.port.sendMedia(payload);
  }

  onMark(name: string): void {
    this.marks.push(name);
  }

  onDtmf(digit: string): void {
    this.digits.push(digit);
  }

  onEnd(reason: WireEndReason): void {
    this.ends.push(reason);
  }
}

export interface ServerOptions {
  readonly limits?: Partial<StreamLimits>;
  readonly authorise?: (start: StartFacts) => StartVerdict;
  readonly accept?: (port: CallPort) => RecordedCall;
  readonly authoriseUpgrade?: MediaRoute['authoriseUpgrade'];
  readonly maxUnstartedSockets?: number;
  readonly closeTimeoutMs?: number;
}

export class TestServer {
  readonly lines: readonly LogLine[];
  readonly calls = new Map<string, RecordedCall>();
  readonly stats: StreamStats[] = [];
  readonly listener: PortMediaListener;

  private constructor(listener: PortMediaListener, lines: readonly LogLine[]) {
    this.listener = listener;
    this.lines = lines;
  }

  static async start(implementation: Implementation, options: ServerOptions = {}): Promise<TestServer> {
    const log = memoryLog();
    const { limits, maxUnstartedSockets, closeTimeoutMs = 500 } = options;
    const onSocket: MediaRoute['onSocket'] = (socket) =>
      serveTwilioStream(socket, {
        clock: systemClock,
        log,
        limits,
        authorise: options.authorise ?? (() => ({ ok: true })),
        accept: (port) => {
          const call = options.accept?.(port) ?? new RecordedCall(port);
          server.calls.set(port.info.callSid, call);
          return call;
        },
        onStats: (stats) => server.stats.push(stats),
      });
    const listener = await listenMedia({
      host: '127.0.0.1',
      port: 0,
      prefer: implementation,
      routes: [{ path: '/media', onSocket, authoriseUpgrade: options.authoriseUpgrade }],
      log,
      clock: systemClock,
      maxUnstartedSockets,
      closeTimeoutMs,
    });
    if (listener.implementation !== implementation) throw new Error(`wanted ${implementation}`);
    const server = new TestServer(listener, log.lines);
    return server;
  }

  get port(): number {
    return this.listener.port;
  }

  call(phone: { readonly callSid: string }): RecordedCall {
    const call = this.calls.get(phone.callSid);
    if (!call) throw new Error(`The server has no call ${phone.callSid}.`);
    return call;
  }

  /** Dials and waits until the server has the call. */
  async dial(parameters: Record<string, string> = {}): Promise<Phone> {
    const phone = await Phone.open(this.port);
    phone.start(parameters);
    await until('the call starts', () => this.calls.has(phone.callSid));
    return phone;
  }

  /** The first line that speaks of this fault, or undefined. */
  fault(fault: string): LogLine | undefined {
    return this.lines.find((line) => line.fields['fault'] === fault);
  }

  statsOf(phone: { readonly callSid: string }): StreamStats | undefined {
    return this.stats.find((stats) => stats.info?.callSid === phone.callSid);
  }
}

interface WireMessage {
  readonly event: string;
  readonly streamSid?: string;
  readonly media?: { readonly payload: string };
  readonly mark?: { readonly name: string };
}

function isWireMessage(value: unknown): value is WireMessage {
  return typeof value === 'object' && value !== null && 'event' in value && typeof value.event === 'string';
}

/** Who a phone is, and the messages Twilio would send for it. */
export class Identity {
  readonly streamSid = `MZ${randomBytes(16).toString('hex')}`;
  readonly callSid = `CA${randomBytes(16).toString('hex')}`;
  #sequence = 1;

  startText(customParameters: Record<string, string> = {}): string {
    const { streamSid, callSid } = this;
    const mediaFormat = { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 };
    const start = { accountSid: 'AC1', streamSid, callSid, tracks: ['inbound'], mediaFormat, customParameters };
    return JSON.stringify({ event: 'start', sequenceNumber: '1', start, streamSid });
  }

  /** Frame number `chunk` (from 1) of 20 ms each. */
  mediaText(chunk: number, payload: Buffer | string, streamSid = this.streamSid): string {
    const base64 = typeof payload === 'string' ? payload : payload.toString('base64');
    const timestamp = String((chunk - 1) * 20);
    const media = { track: 'inbound', chunk: String(chunk), timestamp, payload: base64 };
    return JSON.stringify({ event: 'media', sequenceNumber: String(++this.#sequence), media, streamSid });
  }
}

/** A phone on a proper WebSocket client. */
export class Phone extends Identity {
  readonly socket: WebSocket;
  readonly messages: WireMessage[] = [];
  closeCode: number | undefined;
  closeReason = '';
  #chunk = 0;

  private constructor(socket: WebSocket) {
    super();
    this.socket = socket;
    // The connection may be cut, which is what half the tests are about.
    socket.on('error', () => {});
    socket.on('message', (data) => {
      const message: unknown = JSON.parse(Buffer.isBuffer(data) ? data.toString('utf8') : '');
      if (isWireMessage(message)) this.messages.push(message);
    });
    socket.on('close', (code, reason) => {
      this.closeCode = code;
      this.closeReason = reason.toString();
    });
  }

  static open(
    port: number,
    path = '/media',
    options: { headers?: Record<string, string>; autoPong?: boolean } = {},
  ): Promise<Phone> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, options);
      const phone = new Phone(socket);
      socket.once('open', () => resolve(phone));
      socket.once('error', reject);
    });
  }

  send(text: string | Buffer): void {
    this.socket.send(text);
  }

  start(parameters: Record<string, string> = {}): void {
    this.send('{"event":"connected","protocol":"Call","version":"1.0.0"}');
    this.send(this.startText(parameters));
  }

  /** Sends the next 20 ms. */
  speak(payload: Buffer): void {
    this.send(this.mediaText(++this.#chunk, payload));
  }

  get echoes(): number[] {
    return this.messages.flatMap(({ media }) => (media ? [Buffer.from(media.payload, 'base64')[0] ?? 0xff] : []));
  }

  /** Says something and waits to hear it back: the call works both ways. */
  async exchange(): Promise<void> {
    const before = this.echoes.length;
    this.speak(tone(0x11));
    await until('the call exchanges media', () => this.echoes.length > before);
  }

  async closed(): Promise<number> {
    await until('the socket closes', () => this.closeCode !== undefined);
    return this.closeCode ?? 0;
  }

  hangUp(): void {
    this.socket.close();
  }
}

/** A phone on a bare TCP connection, which can send what no WebSocket client would. */
export class RawPhone extends Identity {
  readonly tcp: Socket;
  received = Buffer.alloc(0);
  closed = false;

  private constructor(tcp: Socket) {
    super();
    this.tcp = tcp;
    tcp.on('error', () => {});
    tcp.on('data', (data) => {
      this.received = Buffer.concat([this.received, data]);
    });
    tcp.on('close', () => {
      this.closed = true;
    });
  }

  static async open(port: number, path = '/media'): Promise<RawPhone> {
    const phone = await RawPhone.request(port, path);
    await until('the upgrade is answered', () => phone.received.includes('\r\n\r\n'));
    phone.received = phone.received.subarray(phone.received.indexOf('\r\n\r\n') + 4);
    return phone;
  }

  /** Sends the upgrade request (or any other head) and does not wait. */
  static async request(
    port: number,
    path: string,
    extra = `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n`,
  ): Promise<RawPhone> {
    const tcp = connect(port, '127.0.0.1');
    const phone = new RawPhone(tcp);
    await until('the connection opens', () => !tcp.connecting);
    tcp.write(
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n${extra}\r\n`,
    );
    return phone;
  }

  sendText(text: string): void {
    this.tcp.write(frame(1, Buffer.from(text)));
  }

  start(): void {
    this.sendText(this.startText());
  }

  /** The code of the close frame that was received, if there was one. */
  get closeCode(): number | undefined {
    for (let at = 0; at + 4 <= this.received.length;) {
      const short = (this.received[at + 1] ?? 0) & 0x7f;
      const [head, length] = short === 126 ? [4, this.received.readUInt16BE(at + 2)] : [2, short];
      if (this.received[at] === 0x88) return this.received.readUInt16BE(at + head);
      at += head + length;
    }
    return undefined;
  }
}

/** A WebSocket frame with a mask of zeros (so that its payload reads as it is), or none. */
export function frame(
  opcode: number,
  payload: Buffer,
  options: { masked?: boolean; reservedBits?: number } = {},
): Buffer {
  const { masked = true, reservedBits = 0 } = options;
  const maskBit = masked ? 0x80 : 0;
  const length =
    payload.length < 126 ? [maskBit | payload.length] : [maskBit | 126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([0x80 | reservedBits | opcode, ...length]), Buffer.alloc(masked ? 4 : 0), payload]);
}
