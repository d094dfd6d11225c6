/**
 * What one 20 ms frame costs the media thread, in and out, parser alone and the whole stream machine.
 * Run: npx tsx bench/micro/twilio-wire.bench.ts
 */
import { systemClock } from '../../src/core/clock.ts';
import { TwilioReader, TwilioWriter } from '../../src/media/twilio/messages.ts';
import { PAYLOAD, SID, beginOwnCall, mediaText } from './own-call.ts';

const FRAMES = 200_000;
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
const frameAt = (index: number): Buffer => frames[index % frames.length] ?? PAYLOAD;
measure('inbound: bytes to string', (i) => void frameAt(i).toString('utf8'));
measure('inbound: bytes to string, read', (i) => void reader.read(frameAt(i).toString('utf8')));
measure(
  'inbound: the same with a space in front (general path)',
  (i) => void reader.read(` ${frameAt(i).toString('utf8')}`),
);

let heardBytes = 0;
const { stream, port } = beginOwnCall(systemClock, (audio) => (heardBytes += audio.length));

// Texts are made beforehand, a batch at a time, so that only the stream is measured.
let chunk = 1;
let spentMs = 0;
for (let batch = 0; batch < 100; batch++) {
  const texts = Array.from({ length: 5000 }, () => Buffer.from(mediaText(chunk++)).toString('utf8'));
  const beganMs = performance.now();
  for (const text of texts) stream.onText(text);
  spentMs += performance.now() - beganMs;
}
if (heardBytes !== (chunk - 1) * PAYLOAD.length) throw new Error(`The stream delivered ${heardBytes} bytes.`);
process.stdout.write(
  `${'inbound: whole stream, text to onAudio'.padEnd(58)} ${((spentMs / (chunk - 1)) * 1000).toFixed(2).padStart(6)} µs/frame\n`,
);

const writer = new TwilioWriter(SID);
measure('outbound: write', () => void writer.media(PAYLOAD));
measure('outbound: whole stream, sendMedia', () => port.sendMedia(PAYLOAD));
stream.onClose(1000, '');
