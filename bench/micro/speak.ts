/**
 * Writes an 8 kHz μ-law WAV of a text, spoken by the embedded synthesiser:
 * `tsx bench/micro/speak.ts --voice rms --out file.wav "text"`.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { createSynthesiser } from '../../src/pipeline/providers/embedded/synthesiser.ts';

const { values, positionals } = parseArgs({
  options: { voice: { type: 'string', default: 'slt' }, out: { type: 'string' } },
  allowPositionals: true,
});
const text = positionals.join(' ');
if (!values.out || !text) {
  process.stderr.write('Usage: tsx bench/micro/speak.ts [--voice slt|rms] --out file.wav "text"\n');
  process.exit(2);
}

const synthesiser = createSynthesiser({ log: silentLog, clock: systemClock, workers: 1 });
try {
  const audio = await speak(values.voice, text);
  await writeFile(values.out, Buffer.concat([wavHeader(audio.length), audio]));
  process.stdout.write(`${values.out}: ${(audio.length / 8000).toFixed(2)} s\n`);
} finally {
  await synthesiser.close();
}

/** The whole text as one utterance. */
function speak(voice: string, spoken: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    const context = { log: silentLog, clock: systemClock, signal: AbortSignal.timeout(60_000) };
    const stream = synthesiser.open(
      { voice, language: 'en' },
      (part) => {
        if (part.type === 'audio-chunk') chunks.push(part.audio);
        else if (part.type === 'utterance-finished') resolve(Buffer.concat(chunks));
        else reject(part.error);
      },
      context,
    );
    stream.speak('speak', spoken);
    stream.finish('speak');
  });
}

/** RIFF header for mono μ-law (format 7) at 8 kHz. */
function wavHeader(dataBytes: number): Buffer {
  const header = Buffer.alloc(58);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(50 + dataBytes + (dataBytes % 2), 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(18, 16);
  header.writeUInt16LE(7, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(8000, 24);
  header.writeUInt32LE(8000, 28);
  header.writeUInt16LE(1, 32);
  header.writeUInt16LE(8, 34);
  header.writeUInt16LE(0, 36);
  header.write('fact', 38, 'latin1');
  header.writeUInt32LE(4, 42);
  header.writeUInt32LE(dataBytes, 46);
  header.write('data', 50, 'latin1');
  header.writeUInt32LE(dataBytes, 54);
  return header;
}
