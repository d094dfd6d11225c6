/**
 * Agent audio whose every sample says where it comes from: which take of which text, and which millisecond of it. So what the ear
 * heard is known from the sound alone, whatever the session believes.
 *
 * Each millisecond (8 samples) holds: a start byte, the take in two digits, the millisecond in three, a check digit, a filler.
 */

const BASE = 0xf0;
const START = 0xf0;
/** μ-law silence, which no coded sample uses. */
const SILENCE = 0xff;
export const GROUP = 8;

/** A run of samples of one take on the wire. `take` is undefined for silence and for anything that no synthesiser made. */
export interface Run {
  readonly take: number | undefined;
  /** Position in the take, in samples. */
  readonly from: number;
  samples: number;
}

/** The samples of `take` from `fromMs`, `durationMs` of them (whole milliseconds). */
export function codedAudio(take: number, fromMs: number, durationMs: number): Uint8Array {
  const audio = new Uint8Array(durationMs * GROUP);
  for (let ms = 0, at = 0; ms < durationMs; ms++, at += GROUP) {
    const position = fromMs + ms;
    audio[at] = START;
    audio[at + 1] = take % BASE;
    audio[at + 2] = Math.floor(take / BASE);
    audio[at + 3] = position % BASE;
    audio[at + 4] = Math.floor(position / BASE) % BASE;
    audio[at + 5] = Math.floor(position / (BASE * BASE));
    audio[at + 6] = check(take, position);
    audio[at + 7] = 1;
  }
  return audio;
}

/**
 * What takes the samples of a payload come from. `expected`: what would follow the payload before it, to which samples without a
 * whole group (a payload of a few bytes) are taken to belong.
 */
export function decodeRuns(
  payload: Uint8Array,
  expected: { readonly take: number | undefined; readonly at: number },
): Run[] {
  const runs: Run[] = [];
  let next = expected;
  let index = 0;
  const start = payload.indexOf(START);
  if (start > 0 && start < GROUP && payload[0] !== SILENCE) {
    const group = groupAt(payload, start);
    // What is before the first sample of a take is the end of another one.
    const follows = group === undefined || group.sample < start;
    const run = {
      take: follows ? next.take : group.take,
      from: follows ? next.at : group.sample - start,
      samples: start,
    };
    runs.push(run);
    next = { take: run.take, at: run.from + start };
    index = start;
  }
  while (index < payload.length) {
    const group = groupAt(payload, index);
    const left = Math.min(GROUP, payload.length - index);
    const silent = payload[index] === SILENCE;
    const take = group?.take ?? (left < GROUP && !silent ? next.take : undefined);
    const from = group?.sample ?? next.at;
    const last = runs.at(-1);
    const samples = take === undefined ? 1 : left;
    if (last && last.take === take && (take === undefined || last.from + last.samples === from))
      last.samples += samples;
    else runs.push({ take, from: take === undefined ? 0 : from, samples });
    next = { take, at: from + samples };
    index += samples;
  }
  return runs;
}

function groupAt(payload: Uint8Array, at: number): { take: number; sample: number } | undefined {
  if (payload[at] !== START || at + GROUP > payload.length) return undefined;
  const take = (payload[at + 1] ?? 0) + (payload[at + 2] ?? 0) * BASE;
  const position = (payload[at + 3] ?? 0) + (payload[at + 4] ?? 0) * BASE + (payload[at + 5] ?? 0) * BASE * BASE;
  return payload[at + 6] === check(take, position) ? { take, sample: position * GROUP } : undefined;
}

function check(take: number, position: number): number {
  return (take * 31 + position * 7) % BASE;
}
