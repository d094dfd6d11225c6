import type { Clock, Timer } from '../../core/clock.ts';
import type { MediaSocket } from '../socket/socket.ts';
import type { StreamLimits } from './limits.ts';

/** What was sent, and how well the peer took it. */
export interface OutboundStats {
  framesOut: number;
  audioOutMs: number;
  /** The most that ever waited in this process. */
  maxBufferedBytes: number;
  /** Times that more than `maxBufferedBytes` waited. */
  backpressureEpisodes: number;
}

/** Sends, and watches whether the peer takes what is sent (fault 14): the bytes that wait are bounded in size and in time. */
export class Outbound {
  readonly stats: OutboundStats = { framesOut: 0, audioOutMs: 0, maxBufferedBytes: 0, backpressureEpisodes: 0 };
  readonly #socket: MediaSocket;
  readonly #clock: Clock;
  readonly #limits: StreamLimits;
  readonly #onStuck: (bufferedBytes: number) => void;
  #deadline: Timer | undefined;

  /** `onStuck` is called when the peer is to be given up, perhaps from within `send`. */
  constructor(socket: MediaSocket, clock: Clock, limits: StreamLimits, onStuck: (bufferedBytes: number) => void) {
    this.#socket = socket;
    this.#clock = clock;
    this.#limits = limits;
    this.#onStuck = onStuck;
  }

  /** Too much waits already: what is sent now would reach the caller late. */
  get congested(): boolean {
    return this.#socket.bufferedBytes() > this.#limits.maxBufferedBytes;
  }

  send(text: string, audioMs: number): void {
    this.#socket.sendText(text);
    this.stats.framesOut++;
    this.stats.audioOutMs += audioMs;
    const bufferedBytes = this.#socket.bufferedBytes();
    if (bufferedBytes === 0) return;
    if (bufferedBytes > this.stats.maxBufferedBytes) this.stats.maxBufferedBytes = bufferedBytes;
    if (bufferedBytes > this.#limits.maxBufferedBytes) this.#onPressure(bufferedBytes);
  }

  /** The peer took everything. */
  drained(): void {
    this.stop();
  }

  stop(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }

  #onPressure(bufferedBytes: number): void {
    if (bufferedBytes > this.#limits.hardMaxBufferedBytes) {
      this.#onStuck(bufferedBytes);
      return;
    }
    if (this.#deadline) return;
    this.stats.backpressureEpisodes++;
    this.#deadline = this.#clock.after(this.#limits.backpressureWithinMs, () => {
      this.#deadline = undefined;
      const stillBufferedBytes = this.#socket.bufferedBytes();
      if (stillBufferedBytes > this.#limits.maxBufferedBytes) this.#onStuck(stillBufferedBytes);
    });
  }
}
