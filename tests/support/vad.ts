import { setTimeout as sleep } from 'node:timers/promises';
import { FRAME_BYTES } from '../../src/media/call-port.ts';
import { WINDOW_MS, WINDOW_SAMPLES } from '../../src/media/vad/vad.ts';
import type { VadDetector, VadEngine, VadEvent, VadSettings } from '../../src/media/vad/vad.ts';
import { fixtureAudio } from './speech-fixtures.ts';
import type { SpeechFixture } from './speech-fixtures.ts';
import { decodeMulaw, encodeMulaw } from './wav.ts';

const LEAD_MS = 1000;
const TAIL_MS = 1500;

/** A recording on a line: a second before it and a second and a half after it. */
export interface LineAudio {
  readonly mulaw: Uint8Array;
  /** The manifest's times on this line. */
  readonly speechStartMs: number;
  readonly speechEndMs: number;
}

/** Puts a recording on a line that is digitally silent, or as noisy as `snrDb` under the voice says (pink noise). */
export function onLine(fixture: SpeechFixture, snrDb = Number.POSITIVE_INFINITY): LineAudio {
  const voice = fixtureAudio(fixture.file).pcm();
  const line = new Float64Array((LEAD_MS + TAIL_MS) * 8 + voice.length);
  line.set(voice, LEAD_MS * 8);
  if (Number.isFinite(snrDb)) {
    const noise = fixtureAudio('noise-pink.wav').pcm();
    const spoken = voice.subarray(fixture.speechStartMs * 8, fixture.speechEndMs * 8);
    const gain = (rms(spoken) / rms(noise)) * 10 ** (-snrDb / 20);
    for (let i = 0; i < line.length; i++) line[i] = (line[i] ?? 0) + gain * (noise[i % noise.length] ?? 0);
  }
  return {
    mulaw: encodeMulaw(Int16Array.from(line, (sample) => Math.max(-32_768, Math.min(32_767, Math.round(sample))))),
    speechStartMs: LEAD_MS + fixture.speechStartMs,
    speechEndMs: LEAD_MS + fixture.speechEndMs,
  };
}

function rms(samples: Int16Array): number {
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}

/** The same audio `gainDb` louder (or quieter). */
export function amplify(mulaw: Uint8Array, gainDb: number): Uint8Array {
  const gain = 10 ** (gainDb / 20);
  return encodeMulaw(decodeMulaw(mulaw).map((sample) => Math.max(-32_768, Math.min(32_767, sample * gain))));
}

/** Waits until a detector has judged every whole window of the first `bytes` bytes; fails after ten seconds. */
export async function judged(detector: VadDetector, bytes: number): Promise<void> {
  const untilMs = Math.floor(bytes / WINDOW_SAMPLES) * WINDOW_MS;
  for (let waits = 0; detector.positionMs < untilMs; waits++) {
    if (waits > 10_000) throw new Error(`Judged ${detector.positionMs} ms of audio, not ${untilMs} ms.`);
    await sleep(1);
  }
}

/** Everything that a detector of its own says about `mulaw`, written as 20 ms frames, a second at a time. */
export async function hear(engine: VadEngine, mulaw: Uint8Array, settings?: Partial<VadSettings>): Promise<VadEvent[]> {
  const events: VadEvent[] = [];
  const detector = engine.createDetector({ onEvent: (event) => events.push(event) }, settings);
  for (let at = 0; at < mulaw.length; at += FRAME_BYTES) {
    detector.write(mulaw.subarray(at, at + FRAME_BYTES));
    if (at % 8000 === 0) await judged(detector, at);
  }
  await judged(detector, mulaw.length);
  detector.close();
  return events;
}
