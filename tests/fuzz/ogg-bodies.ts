/** Bodies of Ogg Opus as a vendor might send them: whole, damaged, cut off, of packets that are none. */
import { OggOpusWriter } from '../../bench/emulators/ogg-opus.ts';
import { opusAlphabet } from '../../bench/emulators/opus-tones.ts';
import type { Random } from '../simulation/random.ts';

const ALPHABET = await opusAlphabet();
const PACKET_SAMPLES = 2_880;
const MAX_PACKETS_A_PAGE = 4;

/** Pages, each a piece by itself; most bodies have nothing wrong with them. */
export function oggBody(random: Random, pieces: number): Uint8Array[] {
  const writer = new OggOpusWriter(PACKET_SAMPLES);
  const body: Uint8Array[] = pieces > 0 ? [writer.head()] : [];
  while (body.length < pieces) {
    const packets = Array.from({ length: random.int(0, MAX_PACKETS_A_PAGE) }, () => anyPacket(random));
    body.push(writer.audio(packets, body.length === pieces - 1 && random.chance(0.9), random.chance(0.1) ? 480 : 0));
  }
  return random.chance(0.3) ? spoilt(body, random) : body;
}

function anyPacket(random: Random): Uint8Array {
  if (random.chance(0.99)) return ALPHABET[random.int(0, 255)] ?? new Uint8Array();
  return noise(random, random.int(0, 700));
}

function noise(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.int(0, 255));
}

function spoilt(body: readonly Uint8Array[], random: Random): Uint8Array[] {
  const at = random.int(0, Math.max(0, body.length - 1));
  const piece = body[at] ?? new Uint8Array();
  switch (random.int(0, 5)) {
    case 0:
      return body.toSpliced(at, 1);
    case 1:
      return body.toSpliced(at, 0, piece);
    case 2:
      return body.toSpliced(at, 1, piece.subarray(0, random.int(0, piece.length)));
    case 3:
      return body.toSpliced(at, 0, noise(random, random.int(1, 400)));
    case 4:
      return [...body, ...body];
    default: {
      const damaged = Uint8Array.from(piece);
      damaged[random.int(0, damaged.length)] = random.int(0, 255);
      return body.toSpliced(at, 1, damaged);
    }
  }
}
