import type { Clock, Timer } from '../../core/clock.ts';
import type { StreamLimits } from './limits.ts';

/**
 * Finds peers that vanished without a word (fault 13). After `idleAfterMs` without a frame it pings; without a frame or a pong
 * within `pongWithinMs` of that, the peer is given up. One timer, set anew when it fires and not with every frame.
 */
export class IdleWatch {
  readonly #clock: Clock;
  readonly #limits: StreamLimits;
  readonly #ping: () => void;
  readonly #giveUp: () => void;
  #timer: Timer;
  #heardMs: number;

  constructor(clock: Clock, limits: StreamLimits, ping: () => void, giveUp: () => void) {
    this.#clock = clock;
    this.#limits = limits;
    this.#ping = ping;
    this.#giveUp = giveUp;
    this.#heardMs = clock.nowMs();
    this.#timer = clock.after(limits.idleAfterMs, this.#check);
  }

  /** A frame or a pong came. */
  heard(nowMs: number): void {
    this.#heardMs = nowMs;
  }

  stop(): void {
    this.#timer.cancel();
  }

  readonly #check = (): void => {
    const leftMs = this.#heardMs + this.#limits.idleAfterMs - this.#clock.nowMs();
    if (leftMs > 0) {
      this.#timer = this.#clock.after(leftMs, this.#check);
      return;
    }
    const heardBeforePingMs = this.#heardMs;
    this.#timer = this.#clock.after(this.#limits.pongWithinMs, () => {
      if (this.#heardMs === heardBeforePingMs) this.#giveUp();
      else this.#check();
    });
    this.#ping();
  };
}
