/**
 * Tone speech in Opus. There is no encoder among our packages, so the characters are encoded ahead: `tone-alphabet.opus` says the
 * 256 of them in order, each in a packet of 60 ms that leans on no other, so that packets may follow in any order.
 *
 * Made with opus-tools 0.2 (libopus 1.3.1), from `encodeToneSpeech` of the characters 0 to 255 at 48 kHz:
 * `opusenc --raw --raw-chan 1 --bitrate 24 --framesize 60 --set-ctl-int 4042=1 --serial 1 --discard-comments --padding 0`
 * (4042: no prediction from frame to frame). SILK, CELT and both together occur.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { opus } from 'prism-media';
import { OggOpusWriter } from './ogg-opus.ts';
import { CHARACTER_MS } from './tone-speech.ts';

const CHARACTER_SAMPLES = CHARACTER_MS * 48;

/** One response, piece by piece. */
export class OpusTones {
  readonly #alphabet: readonly Uint8Array[];
  readonly #writer = new OggOpusWriter(CHARACTER_SAMPLES);
  #begun = false;

  constructor(alphabet: readonly Uint8Array[]) {
    this.#alphabet = alphabet;
  }

  /** A page that says the text, which must be speakable; the first comes behind the headers. */
  say(text: string, last: boolean): Uint8Array {
    const packets = Array.from(text, (char) => this.#alphabet[char.charCodeAt(0)] ?? new Uint8Array());
    const head = this.#begun ? new Uint8Array() : this.#writer.head();
    this.#begun = true;
    return Buffer.concat([head, this.#writer.audio(packets, last)]);
  }
}

let loading: Promise<readonly Uint8Array[]> | undefined;

/** The packet of each character. */
export function opusAlphabet(): Promise<readonly Uint8Array[]> {
  loading ??= loadAlphabet();
  return loading;
}

async function loadAlphabet(): Promise<readonly Uint8Array[]> {
  const path = 'bench/emulators/tone-alphabet.opus';
  // From the source, or from what was compiled of it.
  const file = ['../../', '../../../'].map((up) => new URL(up + path, import.meta.url)).find((url) => existsSync(url));
  if (file === undefined) throw new Error(`The file ${path} is missing.`);
  const packets: Uint8Array[] = [];
  const demuxed: AsyncIterable<Uint8Array> = Readable.from([await readFile(file)]).pipe(new opus.OggDemuxer());
  for await (const packet of demuxed) packets.push(packet);
  return packets;
}
