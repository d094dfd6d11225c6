/**
 * What one 20 ms frame costs the media thread, in and out, parser alone and the whole stream machine.
 * Run: npx tsx bench/micro/twilio-wire.bench.ts
 */
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import type { CallPort } from '../../src/media/call-port.ts';
import type { MediaSocket } from '../../src/media/socket/socket.ts';
import { TwilioReader, TwilioWriter } from '../../src/media/twilio/messages.ts';
import { serveTwilioStream } from '../../src/media/twilio/stream.ts';

const FRAMES = 200_000;
const SID = `MZ${'0123456789abcdef'.repeat(2)}`;
const payload = Buffer.from(Array.from({ length: 160 }, (_, i) => (i * 37) & 0xff));

function mediaText(chunk: number): string {
  const base64 = payload.toString('base64');
  return (
    `{"event":"media","sequenceNumber":"${chunk + 1}","media":{"track":"inbound","chunk":"${chunk}",` +
    `"timestamp":"${(chunk - 1) * 20}","payload":"${base64}"},"streamSid":"${SID}"}`
  );
}

/** Best of five rounds: the others had the machine's noise in them. */
function measure(name: string, run: (index: number) => void): void {
  let bestMs = Infinity;
  for (let round = 0; round < 5; round++) {
    const beganMs = performance.now();
    for (let i = 0; i < FRAMES; i++) run(round * FRAMES + i);
    bestMs = Math.min(bestMs, performance.now() - beganMs);
  }
  process.stdout.write(`${name.padEnd(58)} ${((bestMs / FRAMES) * 1000).toFixed(2).padStart(6)} µs/frame\n`);
}

const reader = new TwilioReader();
const frames = Array.from({ length: 1000 }, (_, i) => Buffer.from(mediaText(i + 1)));
const frameAt = (index: number): Buffer => frames[index % frames.length] ?? payload;
measure('inbound: bytes to string', (i) => void frameAt(i).toString('utf8'));
measure('inbound: bytes to string, read', (i) => void reader.read(frameAt(i).toString('utf8')));
measure(
  'inbound: the same with a space in front (general path)',
  (i) => void reader.read(` ${frameAt(i).toString('utf8')}`),
);

const socket: MediaSocket = {
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
let heardBytes = 0;
const ports: CallPort[] = [];
const stream = serveTwilioStream(socket, {
  clock: systemClock,
  log: silentLog,
  // The bench is faster than any caller may be.
  limits: { maxRate: Number.MAX_SAFE_INTEGER, burstMs: Number.MAX_SAFE_INTEGER },
  authorise: () => ({ ok: true }),
  accept: (port) => {
    ports.push(port);
    return { onAudio: (audio) => (heardBytes += audio.length), onMark() {}, onDtmf() {}, onEnd() {} };
  },
});
const mediaFormat = { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 };
stream.onText(
  JSON.stringify({ event: 'start', streamSid: SID, start: { callSid: 'CA1', accountSid: 'AC1', mediaFormat } }),
);

// Texts are made beforehand, a batch at a time, so that only the stream is measured.
let chunk = 1;
let spentMs = 0;
for (let batch = 0; batch < 100; batch++) {
  const texts = Array.from({ length: 5000 }, () => Buffer.from(mediaText(chunk++)).toString('utf8'));
  const beganMs = performance.now();
  for (const text of texts) stream.onText(text);
  spentMs += performance.now() - beganMs;
}
if (heardBytes !== (chunk - 1) * payload.length) throw new Error(`The stream delivered ${heardBytes} bytes.`);
process.stdout.write(
  `${'inbound: whole stream, text to onAudio'.padEnd(58)} ${((spentMs / (chunk - 1)) * 1000).toFixed(2).padStart(6)} µs/frame\n`,
);

const writer = new TwilioWriter(SID);
measure('outbound: write', () => void writer.media(payload));
measure('outbound: whole stream, sendMedia', () => ports[0]?.sendMedia(payload));
stream.onClose(1000, '');
