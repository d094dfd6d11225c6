/**
 * What an operator asks of a vendor outside of calls, through the vendors' SDKs:
 * `npm run voices` lists the voices that an agent's `tts` may name; `npm run transcribe -- call.wav` writes down a recording
 * (of two channels each party apart), to compare with what the agent understood.
 */
import { realpathSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadConfig } from './config.ts';
import type { Config } from './config.ts';
import { systemClock } from './core/clock.ts';
import { BvraiError } from './core/errors.ts';
import { createDeepgramTranscriber } from './pipeline/providers/deepgram/prerecorded.ts';
import type { RecordingTranscript } from './pipeline/providers/deepgram/prerecorded.ts';
import { listVoices } from './pipeline/providers/elevenlabs/voices.ts';
import type { Voice } from './pipeline/providers/elevenlabs/voices.ts';
import { CLOUD_VENDORS } from './providers.ts';

const USAGE = `usage: npm run voices
       npm run transcribe -- RECORDING [--language en] [--model nova-3] [--mixed]
RECORDING is a file (WAV, Ogg, MP3 …) or an https address; --mixed: all its channels are one.`;

/** Runs one command; resolves to what it prints. Rejects with a BvraiError: `config.invalid` for what cannot be asked. */
export async function run(args: readonly string[], config: Config, signal: AbortSignal): Promise<string> {
  const { values, positionals } = readArguments(args);
  const [command, recording, ...others] = positionals;
  if (command === 'voices' && recording === undefined)
    return voiceTable(await listVoices(keyOf(config, 'elevenlabs'), signal));
  if (command !== 'transcribe' || recording === undefined || others.length > 0)
    throw new BvraiError('config.invalid', USAGE);
  const settings = keyOf(config, 'deepgram');
  const transcript = await createDeepgramTranscriber(settings).transcribe(
    /^https?:\/\//u.test(recording) ? { url: recording } : { bytes: await readRecording(recording) },
    { language: values.language, model: values.model, phrases: [], multichannel: !values.mixed },
    { clock: systemClock, signal },
  );
  return conversation(transcript);
}

function readArguments(args: readonly string[]) {
  const options = {
    language: { type: 'string', default: 'en' },
    model: { type: 'string' },
    mixed: { type: 'boolean', default: false },
  } as const;
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (thrown) {
    throw new BvraiError('config.invalid', USAGE, { cause: thrown });
  }
}

function keyOf(config: Config, vendor: 'deepgram' | 'elevenlabs') {
  const settings = config[vendor];
  if (settings) return settings;
  throw new BvraiError('config.invalid', `This asks ${vendor}, which needs ${CLOUD_VENDORS[vendor].variable}.`);
}

async function readRecording(path: string): Promise<Uint8Array> {
  return readFile(path).catch((thrown: unknown) => {
    throw new BvraiError('config.invalid', `The recording ${path} cannot be read.`, { cause: thrown });
  });
}

function voiceTable(voices: readonly Voice[]): string {
  const rows = voices.map(({ id, name, category, labels }) => [
    id,
    name,
    [category, ...Object.values(labels)].filter((part) => part !== undefined).join(', '),
  ]);
  return table([['voice', 'name', 'kind'], ...rows]);
}

/** One line for each utterance, in the order in which they began. */
function conversation({ channelCount, utterances }: RecordingTranscript): string {
  const rows = utterances.map(({ channel, startMs, text }) => [
    (startMs / 1000).toFixed(1).padStart(7),
    ...(channelCount > 1 ? [`channel ${channel}`] : []),
    text,
  ]);
  return rows.length === 0 ? 'Nothing was said.\n' : table(rows);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}

const invokedAs = process.argv[1];
if (invokedAs !== undefined && realpathSync(invokedAs) === fileURLToPath(import.meta.url)) {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  run(process.argv.slice(2), loadConfig(), interrupted.signal).then(
    (text) => process.stdout.write(text),
    (thrown: unknown) => {
      const { code, message } = BvraiError.from(thrown);
      process.stderr.write(`${message} (${code})\n`);
      process.exitCode = 1;
    },
  );
}
