/** Calls that talk for as long as they are let: a caller asks, the agent answers at length, and so on. Their frames are timed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FRAME_SAMPLES } from '../phone/audio.ts';
import { Phone } from '../phone/phone.ts';
import { FrameLateness } from './frame-lateness.ts';

export interface TalkersPlan {
  readonly serverUrl: string;
  readonly agent: string;
  readonly calls: number;
  /** μ-law. */
  readonly question: Uint8Array;
  /** Calls begin spread over this time. */
  readonly spreadMs: number;
}

/** A frame of agent speech: when it came, on `performance.now()`, and how late. */
export interface TimedFrame {
  readonly atMs: number;
  readonly latenessMs: number;
}

const ANSWER_LIMIT_MS = 15_000;
const ANSWER_LENGTH_LIMIT_MS = 60_000;
const SILENCE_MS = 300;

/** Fifty people do not ask in step: pauses differ by call and turn, without chance. */
const pauseMs = (call: number, turn: number): number => 200 + ((call * 7 + turn * 3) % 10) * 150;

export class Talkers {
  readonly frames: TimedFrame[] = [];
  /** Calls that could not be begun, were ended by the server or got no answer; with the reason. */
  readonly lost: string[] = [];
  answers = 0;
  readonly #plan: TalkersPlan;
  readonly #calls: Promise<void>[];
  #over = false;

  /** Rings all of them. */
  constructor(plan: TalkersPlan) {
    this.#plan = plan;
    this.#calls = Array.from({ length: plan.calls }, (_, index) =>
      this.#hold(index).catch((thrown: unknown) => {
        this.lost.push(`call ${index}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      }),
    );
  }

  /** Hangs up everywhere, after the answers that are being given. */
  async end(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#calls);
  }

  async #hold(index: number): Promise<void> {
    const { serverUrl, agent, question, calls, spreadMs } = this.#plan;
    await sleep((index / calls) * spreadMs);
    const lateness = new FrameLateness((arrivalsMs, latenessMs) => {
      for (const [frame, atMs] of arrivalsMs.entries())
        this.frames.push({ atMs, latenessMs: latenessMs[frame] ?? Number.NaN });
    });
    const phone = await Phone.ring({
      serverUrl,
      agent,
      onEvent: (event) => {
        if (event.type === 'clear') lateness.end();
        if (event.type !== 'media') return;
        const atMs = performance.now();
        for (let bytes = 0; bytes < event.bytes; bytes += FRAME_SAMPLES) lateness.onFrame(atMs);
      },
    });
    try {
      await phone.waitForAgent({ silenceMs: SILENCE_MS, timeoutMs: ANSWER_LIMIT_MS });
      for (let turn = 0; !this.#over; turn++) {
        await phone.sayNothing(pauseMs(index, turn));
        await phone.say(question, `turn ${turn}`);
        await phone.waitUntilAgentSpeaks(ANSWER_LIMIT_MS);
        await phone.waitForAgent({ silenceMs: SILENCE_MS, timeoutMs: ANSWER_LENGTH_LIMIT_MS });
        this.answers++;
      }
      lateness.end();
    } finally {
      await phone.hangUp();
    }
  }
}
