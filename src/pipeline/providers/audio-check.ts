/**
 * Whether a vendor's audio is what was asked for. A file or a page of error text played as samples is loud noise in the
 * caller's ear, so these checks are made before the audio is passed on. Pure; each is wide enough that no speech trips it.
 */

/** Enough for the frames that prove MPEG audio. */
const MAX_OPENING_BYTES = 4_096;
const MIN_TEXT_BYTES = 16;

const MAGICS: readonly (readonly [format: string, magic: string])[] = [
  ['a WAV file', 'RIFF'],
  ['an Ogg file', 'OggS'],
  ['a FLAC file', 'fLaC'],
  ['an MP3 file', 'ID3'],
  ['a Matroska file', '\u001aE\u00df\u00a3'],
  ['a page of HTML', '<!do'],
  ['a page of HTML', '<!DO'],
  ['a page of HTML', '<htm'],
];

/** `undecided`: more bytes are needed. */
export type OpeningVerdict =
  | { readonly type: 'undecided' }
  | { readonly type: 'audio' }
  | { readonly type: 'wrong'; readonly format: string };

const UNDECIDED: OpeningVerdict = { type: 'undecided' };
const AUDIO: OpeningVerdict = { type: 'audio' };

/** Reads the first bytes of raw samples (μ-law or PCM) for the marks of a container, of compressed audio or of text. */
export class AudioOpening {
  #head = Buffer.alloc(0);
  #verdict: OpeningVerdict = UNDECIDED;

  /** The verdict with these bytes too. Once it is not `undecided` it stays. */
  add(bytes: Uint8Array): OpeningVerdict {
    if (this.#verdict.type !== 'undecided') return this.#verdict;
    this.#head = Buffer.concat([this.#head, bytes.subarray(0, MAX_OPENING_BYTES - this.#head.length)]);
    this.#verdict = judgeOpening(this.#head);
    return this.#verdict;
  }
}

function judgeOpening(head: Buffer): OpeningVerdict {
  if (head.length < 4) return UNDECIDED;
  const text = head.toString('latin1', 0, 4);
  const known = MAGICS.find(([, magic]) => text.startsWith(magic));
  if (known !== undefined) return { type: 'wrong', format: known[0] };
  if (text.startsWith('{') || text.startsWith('[')) return judgeText(head);
  return judgeFrames(head);
}

/**
 * JSON: an object's or a list's beginning in a run of printable characters. Such a run alone is half a wave of a low voice;
 * the quotation mark in its place would be a sudden loud sample.
 */
function judgeText(head: Buffer): OpeningVerdict {
  const start = head.toString('latin1', 0, MIN_TEXT_BYTES);
  if (!/^[\t\n\r -~]*$/.test(start)) return AUDIO;
  if (start.length < MIN_TEXT_BYTES) return UNDECIDED;
  return /^\[?\s*\{\s*"\w/.test(start) ? { type: 'wrong', format: 'JSON' } : AUDIO;
}

/** MPEG audio has no magic but its sync bits, which quiet samples imitate: only headers alike, a frame apart each, prove it. */
function judgeFrames(head: Buffer): OpeningVerdict {
  let at = 0;
  for (let frames = 0; frames < FRAMES_OF_PROOF; frames++) {
    if (head.length < at + FRAME_HEADER_BYTES) return head.readUInt16BE(0) >= 0xffe0 ? UNDECIDED : AUDIO;
    const length = frameBytes(head, at);
    if (length === undefined || (head.readUInt32BE(at) ^ head.readUInt32BE(0)) & CONSTANT_HEADER_BITS) return AUDIO;
    at += length;
  }
  return { type: 'wrong', format: 'MPEG audio' };
}

const FRAMES_OF_PROOF = 3;
const FRAME_HEADER_BYTES = 7;
/** Sync, version, layer, protection, and in MP3 the sample rate, in ADTS profile and the first two bits of the rate. */
const CONSTANT_HEADER_BITS = 0xffff_0c00;
const MAX_FRAME_BYTES = 1_500;

const KBPS_MPEG1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const KBPS_MPEG2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const RATES_HZ: readonly (readonly number[])[] = [
  [11_025, 12_000, 8_000],
  [],
  [22_050, 24_000, 16_000],
  [44_100, 48_000, 32_000],
];

/** Length of the MPEG layer III frame (ISO 11172-3, 2.4.1.3) or ADTS frame (ISO 13818-7, 6.2) whose header is here, if one is. */
function frameBytes(bytes: Buffer, at: number): number | undefined {
  const header = bytes.readUInt32BE(at);
  // Eleven bits of sync.
  if (header >>> 21 !== 0x7ff) return undefined;
  const layer = (header >>> 17) & 3;
  if (layer === 0) {
    // ADTS has twelve bits of sync, and the frame's length across bytes 3 to 5.
    if (header >>> 20 !== 0xfff) return undefined;
    const length = ((header & 3) << 11) | ((bytes[at + 4] ?? 0) << 3) | ((bytes[at + 5] ?? 0) >> 5);
    return length > 2 * FRAME_HEADER_BYTES && length <= MAX_FRAME_BYTES ? length : undefined;
  }
  const version = (header >>> 19) & 3;
  const kbps = (version === 3 ? KBPS_MPEG1 : KBPS_MPEG2)[(header >>> 12) & 15];
  const rateHz = RATES_HZ[version]?.[(header >>> 10) & 3];
  if (layer !== 1 || !kbps || rateHz === undefined) return undefined;
  const padding = (header >>> 9) & 1;
  return Math.floor(((version === 3 ? 144_000 : 72_000) * kbps) / rateHz) + padding;
}

/** Pairs of bytes that must have been seen: a tenth of a second. */
const MIN_PAIRS = 800;
/** Share of high bytes from 0x00 to 0x0f, and by how much it exceeds that of the low bytes, which is a sixteenth or so. */
const MIN_HIGH_BYTE_SHARE = 0.2;
const MIN_EXCESS = 0.06;

/**
 * Recognises 16-bit PCM that comes where μ-law should. Its samples are pairs, and of a voice the high byte lies near zero
 * most of the time while the low byte is anything; in μ-law odd and even bytes are alike, and 0x00 to 0x0f are the loudest
 * negative samples, which are rare. Pairs of zeros (digital silence) are passed over.
 */
export class SixteenBitDetector {
  #carry: number | undefined;
  #pairs = 0;
  /** How many first and second bytes of pairs were from 0x00 to 0x0f. */
  #small: [number, number] = [0, 0];

  /** Whether the bytes so far are 16-bit samples. */
  add(bytes: Uint8Array): boolean {
    for (const byte of bytes) {
      if (this.#carry === undefined) {
        this.#carry = byte;
        continue;
      }
      if (this.#carry !== 0 || byte !== 0) {
        this.#pairs++;
        if (this.#carry < 0x10) this.#small[0]++;
        if (byte < 0x10) this.#small[1]++;
      }
      this.#carry = undefined;
    }
    if (this.#pairs < MIN_PAIRS) return false;
    const [low, high] = this.#small.toSorted((a, b) => a - b);
    return (high ?? 0) >= MIN_HIGH_BYTE_SHARE * this.#pairs && (high ?? 0) - (low ?? 0) >= MIN_EXCESS * this.#pairs;
  }
}

/** Nobody dwells on a character for longer, not even spelling; the constant covers pauses that a vendor makes. */
const MAX_MS_PER_CHARACTER = 400;
const MAX_PAUSES_MS = 10_000;
/** The fastest voice that a vendor offers takes 15 ms a letter, at four times the usual pace. */
const MIN_MS_PER_LETTER = 6;
const MIN_LETTERS = 25;

/** Longest audio that the text can be. A wrong sample rate stays below it more often than not; speech that never ends does not. */
export function longestMs(text: string): number {
  return MAX_PAUSES_MS + MAX_MS_PER_CHARACTER * text.length;
}

/** Shortest audio that the text can be; 0 for short ones, and for those without a letter or a digit, which may be silent. */
export function shortestMs(text: string): number {
  const letters = text.match(/[\p{L}\p{N}]/gu)?.length ?? 0;
  if (letters >= MIN_LETTERS) return MIN_MS_PER_LETTER * letters;
  return letters > 0 ? 1 : 0;
}
