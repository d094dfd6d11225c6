/** A call of the bench's own: the stream machine of Twilio's protocol, on a socket that leads nowhere. */
import type { Clock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import type { CallPort } from '../../src/media/call-port.ts';
import type { MediaSocket } from '../../src/media/socket/socket.ts';
import { serveTwilioStream } from '../../src/media/twilio/stream.ts';

export const SID = `MZ${'0123456789abcdef'.repeat(2)}`;
/** The μ-law of one frame, 20 ms. */
export const PAYLOAD = Buffer.from(Array.from({ length: 160 }, (_, index) => (index * 37) & 0xff));

const BASE64 = PAYLOAD.toString('base64');
const SOCKET: MediaSocket = {
  upgrade: { url: '/media', path: '/media', headers: new Map(), remoteAddress: '127.0.0.1' },
  remoteAddress: '127.0.0.1',
  sendText() {},
  ping() {},
  bufferedBytes: () => 0,
  close(code, reason) {
    throw new Error(`The bench's own call was closed: ${code} ${reason}`);
  },
  terminate() {},
  markStarted() {},
};

/** The caller's n-th frame as Twilio sends it, counted from 1. */
export function mediaText(chunk: number): string {
  return (
    `{"event":"media","sequenceNumber":"${chunk + 1}","media":{"track":"inbound","chunk":"${chunk}",` +
    `"timestamp":"${(chunk - 1) * 20}","payload":"${BASE64}"},"streamSid":"${SID}"}`
  );
}

export interface OwnCall {
  readonly stream: ReturnType<typeof serveTwilioStream>;
  readonly port: CallPort;
}

/** Begins the call; `onAudio` is what hears the caller. */
export function beginOwnCall(clock: Clock, onAudio: (audio: Uint8Array) => void): OwnCall {
  const ports: CallPort[] = [];
  const stream = serveTwilioStream(SOCKET, {
    clock,
    log: silentLog,
    // The bench is faster than any caller may be.
    limits: { maxRate: Number.MAX_SAFE_INTEGER, burstMs: Number.MAX_SAFE_INTEGER },
    authorise: () => ({ ok: true }),
    accept: (port) => {
      ports.push(port);
      return { onAudio, onMark() {}, onDtmf() {}, onEnd() {} };
    },
  });
  const mediaFormat = { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 };
  stream.onText(
    JSON.stringify({ event: 'start', streamSid: SID, start: { callSid: 'CA1', accountSid: 'AC1', mediaFormat } }),
  );
  const [port] = ports;
  if (port === undefined) throw new Error('The bench’s own call did not begin.');
  return { stream, port };
}
