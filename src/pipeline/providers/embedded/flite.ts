/** Runs Flite (a command-line program compiled to WASI) in memory: text in, 16 kHz samples and phone times out. */
import { Directory, File, OpenFile, PreopenDirectory, WASI } from '@bjorn3/browser_wasi_shim';
import { BvraiError } from '../../../core/errors.ts';

/** One sound of speech (Flite's US phone set) or `pau`, a pause; times from the start of the audio. */
export interface Phone {
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
}

export interface FliteSpeech {
  /** Mono. */
  readonly samples: Int16Array;
  readonly sampleRateHz: number;
  readonly phones: readonly Phone[];
}

/** Flite's name for a pause. */
export const PAUSE = 'pau';

const OUTPUT_FILE = 'speech.wav';

/**
 * Speaks `text` (ASCII) with a voice of the package: `slt`, `rms`, `awb`, `kal`, `kal16` or `awb_time`.
 * Blocks its thread for roughly 1 % of the speech's length plus 10 ms. Each run gets a fresh instance, whose memory (22 MB)
 * is garbage afterwards: Flite never frees everything. The library shim stands in for node:wasi, which crashes on Node 20.
 * @throws BvraiError `engine.failed` when Flite fails or writes something unexpected.
 */
export function runFlite(module: WebAssembly.Module, voice: string, text: string): FliteSpeech {
  const printed: Uint8Array[] = [];
  const output = new OpenFile(new File([]));
  output.fd_write = (data) => {
    printed.push(data.slice());
    return { ret: 0, nwritten: data.byteLength };
  };
  const folder = new PreopenDirectory('/', new Map());
  const args = ['flite', '-voice', voice, '-psdur', '-t', text, '-o', `/${OUTPUT_FILE}`];
  const wasi = new WASI(args, [], [new OpenFile(new File([])), output, output, folder], { debug: false });
  const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: wasi.wasiImport });
  const { memory, _start: start } = instance.exports;
  if (!(memory instanceof WebAssembly.Memory) || typeof start !== 'function') {
    throw new BvraiError('engine.failed', 'flite.wasm does not export what a WASI command exports.');
  }
  const exitCode = wasi.start({ exports: { memory, _start: (): unknown => Reflect.apply(start, undefined, []) } });
  const messages = Buffer.concat(printed).toString('latin1');
  const file = folder.dir instanceof Directory ? folder.dir.contents.get(OUTPUT_FILE) : undefined;
  if (exitCode !== 0 || !(file instanceof File)) {
    throw new BvraiError('engine.failed', `Flite ended with code ${exitCode}: ${messages.slice(0, 200)}`);
  }
  return { ...readWav(file.data), phones: parsePhones(messages) };
}

/** Reads `-psdur` output: one line of `name:endSeconds` for each sentence, whose times start again from zero. */
export function parsePhones(messages: string): Phone[] {
  const phones: Phone[] = [];
  let sentenceStartMs = 0;
  for (const line of messages.split('\n')) {
    let startMs = sentenceStartMs;
    for (const [, name, seconds] of line.matchAll(/(\S+):(\d+(?:\.\d+)?)/g)) {
      if (name === undefined || seconds === undefined) continue;
      const endMs = sentenceStartMs + Number(seconds) * 1000;
      phones.push({ name, startMs, endMs });
      startMs = endMs;
    }
    sentenceStartMs = startMs;
  }
  return phones;
}

/** Reads the canonical 44-byte header that Flite writes, and the 16-bit mono samples after it. */
function readWav(bytes: Uint8Array): { samples: Int16Array; sampleRateHz: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < 44 || view.getUint32(36) !== 0x64617461 || view.getUint16(22, true) !== 1) {
    throw new BvraiError('engine.failed', 'Flite wrote a file that is not 16-bit mono WAV.');
  }
  const samples = new Int16Array((bytes.byteLength - 44) >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(44 + 2 * i, true);
  return { samples, sampleRateHz: view.getUint32(24, true) };
}
