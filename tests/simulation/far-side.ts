/**
 * The far end of the wire: a network with delay and stalls, Twilio's playback buffer, marks that come back when played or cleared,
 * and the caller's ear, which knows to the sample what it heard.
 *
 * Nothing here waits: since everything arrives in order, when a sample will be played is known as soon as it is sent, and a `clear`
 * takes back what would be played after it arrives.
 */
import type { Timer, VirtualClock } from '../../src/core/clock.ts';
import type { CallPort } from '../../src/media/call-port.ts';
import { BYTES_PER_MS } from '../../src/media/call-port.ts';
import type { NetworkProfile, Profile } from './profile.ts';
import type { Random } from './random.ts';
import { GROUP, decodeRuns } from './sample-code.ts';
import type { Run } from './sample-code.ts';
import type { Take, TakeBook } from './takes.ts';

/** A stretch of a take that the far side played, or is going to. */
interface Segment {
  readonly from: number;
  to: number;
  readonly startMs: number;
}

/** One time that a take is being said: from its start, over holds and resumes. */
export interface Speech {
  readonly take: Take;
  readonly firstSentAtMs: number;
  /** Where the last run on the wire ended, in samples of the take. */
  sentTo: number;
  readonly segments: Segment[];
  /** The session holds that it has been heard, or cut, for good. */
  over: boolean;
}

export interface WireListener {
  /** A run of samples went out. `continues`: right after the run before it, with no `clear` between. */
  onRun(run: Run, speech: Speech | undefined, kind: 'begins' | 'continues' | 'jumps'): void;
  onMark(name: string): void;
  onClear(): void;
  onHangUp(): void;
}

interface PendingMark {
  readonly name: string;
  readonly playedAtMs: number;
  readonly timer: Timer | undefined;
}

export interface FarSideOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly profile: Profile;
  readonly takes: TakeBook;
  readonly listener: WireListener;
  readonly echoMark: (name: string) => void;
  readonly ended: () => void;
}

export class FarSide {
  readonly speeches: Speech[] = [];
  readonly port: CallPort;
  /** Samples that no synthesiser made: silence, or worse. */
  strangeSamples = 0;
  readonly #options: FarSideOptions;
  readonly #network: NetworkProfile;
  #closed = false;
  #lastArrivalMs = 0;
  #lastEchoMs = 0;
  #stalledUntilMs = 0;
  #congestedUntilMs = 0;
  #bufferEndsAtMs = 0;
  #expected: { take: number | undefined; at: number } = { take: undefined, at: 0 };
  #marks: PendingMark[] = [];

  constructor(options: FarSideOptions) {
    this.#options = options;
    this.#network = options.profile.network;
    this.port = {
      info: { streamSid: 'MZ1', callSid: 'CA1', accountSid: 'AC1', customParameters: {} },
      sendMedia: (payload) => this.#media(payload),
      sendMark: (name) => this.#mark(name),
      sendClear: () => this.#clear(),
      isCongested: () => this.#options.clock.nowMs() < this.#congestedUntilMs,
      hangUp: () => {
        if (this.#closed) return;
        options.listener.onHangUp();
        this.close(this.#arrive());
        options.ended();
      },
    };
  }

  /** The wire is gone: nothing more arrives either way, and from `atMs` on nothing is heard. */
  close(atMs = this.#options.clock.nowMs()): void {
    this.#closed = true;
    for (const { segments } of this.speeches.slice(-3)) cutAfter(segments, atMs);
    for (const { timer } of this.#marks) timer?.cancel();
    this.#marks = [];
  }

  /** Once a tick: the network and the far side have their moods. */
  tick(nowMs: number): void {
    const { random, profile } = this.#options;
    if (this.#network.stallChance > 0 && random.chance(this.#network.stallChance / 50)) {
      this.#stalledUntilMs = nowMs + this.#network.stallMs;
    }
    if (profile.congestionChance > 0 && random.chance(profile.congestionChance / 50)) {
      this.#congestedUntilMs = nowMs + random.between(50, 1_500);
    }
  }

  /** Whether the caller hears the agent at `atMs` (of the past, or as planned so far). */
  isAudibleAt(atMs: number): boolean {
    for (let index = this.speeches.length - 1; index >= 0 && index >= this.speeches.length - 3; index--) {
      const segments = this.speeches[index]?.segments ?? [];
      for (let last = segments.length - 1; last >= 0; last--) {
        const segment = segments[last];
        if (!segment) continue;
        if (segment.startMs <= atMs && endMs(segment) > atMs) return true;
        if (endMs(segment) <= atMs) break;
      }
    }
    return false;
  }

  /** When the caller last heard the agent, at or before `atMs`. */
  lastAudibleMs(atMs: number): number {
    let last = 0;
    for (const { segments } of this.speeches.slice(-3)) {
      for (const segment of segments)
        if (segment.startMs <= atMs) last = Math.max(last, Math.min(atMs, endMs(segment)));
    }
    return last;
  }

  /** How far in the take the ear had come by `atMs`, in samples. */
  heardTo(speech: Speech, atMs: number): number {
    let to = 0;
    for (const segment of speech.segments) {
      if (segment.startMs >= atMs) continue;
      to = Math.max(to, Math.min(segment.to, segment.from + (atMs - segment.startMs) * BYTES_PER_MS));
    }
    return to;
  }

  /** For each word of the take, how much of it the ear heard by `atMs`: 0 to 1. */
  heardShares(speech: Speech, atMs: number): number[] {
    const heard = union(speech.segments, atMs);
    return speech.take.words.map(({ from, to }) => {
      let samples = 0;
      for (const part of heard) samples += Math.max(0, Math.min(to, part.to) - Math.max(from, part.from));
      return samples / (to - from);
    });
  }

  #media(payload: Uint8Array): void {
    const { takes, listener } = this.#options;
    if (this.#closed) return;
    const arrivalMs = this.#arrive();
    for (const run of decodeRuns(payload, this.#expected)) {
      const follows = run.take === this.#expected.take && run.from === this.#expected.at;
      this.#expected = { take: run.take, at: run.from + run.samples };
      const startMs = Math.max(arrivalMs, this.#bufferEndsAtMs);
      this.#bufferEndsAtMs = startMs + run.samples / BYTES_PER_MS;
      const take = run.take === undefined ? undefined : takes.get(run.take);
      if (!take) {
        this.strangeSamples += run.samples;
        listener.onRun(run, undefined, 'jumps');
        continue;
      }
      const speech = this.#speechFor(take, run, follows);
      // Of a take that begins within a frame the first few samples may not be told from those before them.
      const kind = follows ? 'continues' : run.from < GROUP ? 'begins' : 'jumps';
      listener.onRun(run, speech, kind);
      speech.sentTo = run.from + run.samples;
      addSegment(speech.segments, { from: run.from, to: run.from + run.samples, startMs });
    }
  }

  #speechFor(take: Take, run: Run, follows: boolean): Speech {
    const last = this.speeches.findLast((speech) => speech.take === take);
    // Audio that was kept may be played again from its start; otherwise a take is said once, and resumed at most.
    if (last && (follows || run.from > 0 || !last.over || !take.fixed)) return last;
    const speech: Speech = { take, firstSentAtMs: this.#options.clock.nowMs(), sentTo: 0, segments: [], over: false };
    this.speeches.push(speech);
    return speech;
  }

  #mark(name: string): void {
    if (this.#closed) return;
    this.#options.listener.onMark(name);
    const playedAtMs = Math.max(this.#arrive(), this.#bufferEndsAtMs);
    this.#marks = this.#marks.filter((mark) => mark.playedAtMs >= this.#options.clock.nowMs());
    this.#marks.push({ name, playedAtMs, timer: this.#echo(name, playedAtMs) });
  }

  /** Sends the mark back once it has been played at `playedAtMs`, if this far side does. */
  #echo(name: string, playedAtMs: number): Timer | undefined {
    const { clock, random, profile, echoMark } = this.#options;
    if (profile.marks === 'never' || (profile.marks === 'lossy' && random.chance(0.4))) return undefined;
    const lateMs = profile.marks === 'late' ? random.between(200, 1_500) : 0;
    const wayMs = this.#network.fromFarSideMs + random.between(0, this.#network.jitterMs) + lateMs;
    this.#lastEchoMs = Math.max(this.#lastEchoMs, playedAtMs + wayMs);
    return clock.after(this.#lastEchoMs - clock.nowMs(), () => {
      if (!this.#closed) echoMark(name);
    });
  }

  #clear(): void {
    if (this.#closed) return;
    this.#options.listener.onClear();
    const atMs = this.#arrive();
    this.#bufferEndsAtMs = Math.min(this.#bufferEndsAtMs, atMs);
    this.#expected = { take: undefined, at: 0 };
    for (const { segments } of this.speeches.slice(-3)) cutAfter(segments, atMs);
    const cleared = this.#marks.filter(({ playedAtMs }) => playedAtMs > atMs);
    this.#marks = this.#marks.filter(({ playedAtMs }) => playedAtMs <= atMs);
    this.#lastEchoMs = Math.min(this.#lastEchoMs, atMs);
    for (const { name, timer } of cleared) {
      timer?.cancel();
      this.#marks.push({ name, playedAtMs: atMs, timer: this.#echo(name, atMs) });
    }
  }

  #arrive(): number {
    const nowMs = this.#options.clock.nowMs();
    const jitterMs = this.#options.random.between(0, this.#network.jitterMs);
    const wayMs = this.#network.toFarSideMs + jitterMs;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, this.#stalledUntilMs, nowMs + wayMs);
    return this.#lastArrivalMs;
  }
}

const endMs = (segment: Segment): number => segment.startMs + (segment.to - segment.from) / BYTES_PER_MS;

function addSegment(segments: Segment[], segment: Segment): void {
  const last = segments.at(-1);
  if (last && last.to === segment.from && Math.abs(endMs(last) - segment.startMs) < 0.001) last.to = segment.to;
  else segments.push(segment);
}

/** Takes back what would be played after `atMs`: of what had not begun by then nothing is left, which is no sound at any time. */
function cutAfter(segments: Segment[], atMs: number): void {
  for (let last = segments.at(-1); last && endMs(last) > atMs; last = segments.at(-1)) {
    last.to = Math.max(last.from, last.from + Math.floor((atMs - last.startMs) * BYTES_PER_MS));
    if (last.to > last.from) return;
    segments.pop();
  }
}

/** What of the segments was played by `atMs`, without overlaps, in order. */
function union(segments: readonly Segment[], atMs: number): { from: number; to: number }[] {
  const parts = segments
    .map(({ from, to, startMs }) => ({ from, to: Math.min(to, from + (atMs - startMs) * BYTES_PER_MS) }))
    .filter(({ from, to }) => to > from)
    .sort((left, right) => left.from - right.from);
  const merged: { from: number; to: number }[] = [];
  for (const part of parts) {
    const last = merged.at(-1);
    if (last && part.from <= last.to) last.to = Math.max(last.to, part.to);
    else merged.push(part);
  }
  return merged;
}
