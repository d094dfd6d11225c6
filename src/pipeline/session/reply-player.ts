/**
 * Puts a reply on the caller's line: what the ledger hands out goes to the wire at the moments that the ledger asks for.
 * Everything that the agent says leaves through here, and nothing of a reply that was cut or held.
 */
import type { Clock, Timer } from '../../core/clock.ts';
import type { CallPort } from '../../media/call-port.ts';
import { Playout } from '../../media/playout.ts';
import type { AudioSpan, Heard, HeardSpeech } from '../../media/playout.ts';

/** How soon a congested wire is tried again; audio waits in the ledger meanwhile, where a barge-in can still drop it. */
const CONGESTION_RETRY_MS = 20;

export interface ReplyListener {
  /** The first frame of a generation has gone out. */
  onAudible(generation: number): void;
  /** A generation was heard in full and is retired. */
  onHeard(heard: Heard): void;
}

/** Owned by the session, which closes it. One generation (one reply of the agent) at a time. */
export class ReplyPlayer {
  readonly #port: CallPort;
  readonly #clock: Clock;
  readonly #listener: ReplyListener;
  readonly #playout = new Playout();
  #audibleGeneration = 0;
  #timer: Timer | undefined;
  #closed = false;

  constructor(port: CallPort, clock: Clock, listener: ReplyListener) {
    this.#port = port;
    this.#clock = clock;
    this.#listener = listener;
  }

  /** The reply that audio is taken for; undefined: nothing is owed to the caller. */
  get generation(): number | undefined {
    return this.#playout.generation;
  }

  /** Audio that waits to be sent. */
  get pendingMs(): number {
    return this.#playout.pendingMs;
  }

  /** What of the current reply was heard by now. */
  heardSpeech(): HeardSpeech | undefined {
    return this.#playout.heardSpeech(this.#clock.nowMs());
  }

  /** Takes audio for `generation` from here on, if it does not yet; `held`: nothing of it is sent before `resume`. */
  begin(generation: number, held = false): void {
    if (this.#playout.generation !== generation) this.#playout.begin(generation, held);
  }

  /** Audio of the current generation. False: the ledger is full; what it has is the whole reply then. */
  push(generation: number, audio: Uint8Array, spans?: readonly AudioSpan[]): boolean {
    const taken = this.#playout.push(generation, audio, spans);
    if (!taken) this.#playout.finish(generation);
    this.poll();
    return taken;
  }

  /** No more audio comes for the generation. */
  finish(generation: number): void {
    this.#playout.finish(generation);
    this.poll();
  }

  onMark(name: string): void {
    this.#playout.onMark(name, this.#clock.nowMs());
    this.poll();
  }

  /** Silences the caller's line; the reply can go on later. */
  hold(generation: number): void {
    if (this.#playout.generation !== generation) return;
    const nowMs = this.#clock.nowMs();
    if (this.#playout.isAudible(nowMs)) this.#port.sendClear();
    this.#playout.hold(nowMs);
  }

  /** Lets a held reply go on, when it is next polled; undefined when it is not the current one. */
  resume(generation: number): { readonly repeatedMs: number } | undefined {
    return this.#playout.generation === generation ? this.#playout.resume() : undefined;
  }

  /** Silences the caller's line for good; what had been heard of the reply. Undefined when it is not the current one. */
  cut(generation: number): HeardSpeech | undefined {
    if (this.#playout.generation !== generation) return undefined;
    const nowMs = this.#clock.nowMs();
    if (this.#playout.isAudible(nowMs)) this.#port.sendClear();
    return this.#playout.clear(nowMs);
  }

  /** Sends what is due, and comes back when more is. */
  poll(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#closed) return;
    const nowMs = this.#clock.nowMs();
    if (this.#playout.pendingMs > 0 && this.#port.isCongested()) return this.#pollIn(CONGESTION_RETRY_MS);
    let audible: number | undefined;
    for (const output of this.#playout.poll(nowMs)) {
      if (output.type === 'mark') this.#port.sendMark(output.name);
      else {
        this.#port.sendMedia(output.payload);
        audible = output.generation;
      }
    }
    // Told only after the whole batch is out: a step that cuts the reply must find nothing left to send after its clear.
    if (audible !== undefined && audible !== this.#audibleGeneration) {
      this.#audibleGeneration = audible;
      this.#listener.onAudible(audible);
    }
    const heard = this.#playout.heard(nowMs);
    if (heard?.complete) {
      this.#playout.end(nowMs);
      return this.#listener.onHeard(heard);
    }
    const nextMs = this.#playout.nextPollMs(nowMs);
    if (nextMs !== undefined) this.#pollIn(nextMs - nowMs);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #pollIn(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(delayMs, () => this.poll());
  }
}
