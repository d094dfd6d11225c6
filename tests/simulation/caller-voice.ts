/** What the caller's microphone picks up, and when: the truth that detectors and recognisers see part of. Times are in call audio. */
import { FRAME_BYTES, FRAME_MS } from '../../src/media/call-port.ts';

export interface Sound {
  readonly kind: 'word' | 'cough' | 'noise';
  /** As a recogniser writes it; '' for what is no word. */
  readonly text: string;
  readonly startMs: number;
  readonly endMs: number;
  /** A sentence or phrase is complete with this word. */
  readonly closes: boolean;
}

export class CallerVoice {
  /** In order of time; none overlap. */
  readonly sounds: Sound[] = [];

  add(sound: Sound): void {
    this.sounds.push(sound);
  }

  /** When the last sound begun or planned ends; 0 before the first. */
  get endsAtMs(): number {
    return this.sounds.at(-1)?.endMs ?? 0;
  }

  /** The share of a stretch of audio that holds a sound, and which kind of sound. */
  at(fromMs: number, toMs: number): { share: number; kind: Sound['kind'] } {
    let covered = 0;
    let kind: Sound['kind'] = 'word';
    for (let index = this.sounds.length - 1; index >= 0; index--) {
      const sound = this.sounds[index];
      if (!sound || sound.endMs <= fromMs) break;
      const overlap = Math.min(toMs, sound.endMs) - Math.max(fromMs, sound.startMs);
      if (overlap <= 0) continue;
      covered += overlap;
      ({ kind } = sound);
    }
    return { share: covered / (toMs - fromMs), kind };
  }

  isVoicedAt(atMs: number): boolean {
    return this.at(atMs, atMs + 1).share > 0;
  }
}

/** Writes a frame that carries its number in the call, so that a recogniser knows which audio it was given, even if it was replayed. */
export function numberFrame(frame: Uint8Array, number: number): void {
  frame[0] = number & 0xff;
  frame[1] = (number >> 8) & 0xff;
  frame[2] = (number >> 16) & 0xff;
}

/** The numbers of the frames in some caller audio. */
export function frameNumbers(audio: Uint8Array): number[] {
  const numbers: number[] = [];
  for (let at = 0; at + FRAME_BYTES <= audio.length; at += FRAME_BYTES) {
    numbers.push((audio[at] ?? 0) | ((audio[at + 1] ?? 0) << 8) | ((audio[at + 2] ?? 0) << 16));
  }
  return numbers;
}

/** Where the audio of a frame ends. */
export const frameEndMs = (number: number): number => (number + 1) * FRAME_MS;
