/** What the simulated calls have reached: a simulation that never meets a barge-in proves nothing about barge-ins. */
import type { CallEvent } from '../../src/pipeline/events.ts';
import { fixedPhrases } from '../../src/pipeline/fixed-phrases.ts';

const FILLER = fixedPhrases('en').filler;

export class Coverage {
  readonly counts = new Map<string, number>();
  #turn = 0;

  count(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  event(event: CallEvent): void {
    this.count(event.type);
    if (event.type === 'agent-said') this.count(`said: ${event.kind}${event.interrupted ? ', interrupted' : ''}`);
    else if (event.type === 'agent-clause' && event.text.trim() === FILLER) this.count('said: filler');
    else if (event.type === 'tool-called') this.count(`tool-called: ${event.name}`);
    else if (event.type === 'turn-confirmed') {
      if (event.turn === this.#turn) this.count('turn withdrawn');
      this.#turn = event.turn;
    } else if (event.type === 'false-interruption') this.count(`false alarm: ${event.cause}`);
    else if (event.type === 'turn-failed') this.count(`failed: ${event.stage} ${event.code}`);
    else if (event.type === 'call-ended') this.count(`ended: ${event.reason}`);
  }

  add(other: Coverage): void {
    for (const [what, times] of other.counts) this.count(what, times);
  }

  of(what: string): number {
    return this.counts.get(what) ?? 0;
  }

  toString(): string {
    return [...this.counts]
      .sort(([left], [right]) => left.localeCompare(right))
      .map(([what, times]) => `  ${String(times).padStart(8)}  ${what}`)
      .join('\n');
  }
}
