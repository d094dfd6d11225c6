/** The bookkeeping that every synthesiser's stream needs: which utterances live, which have ended, how much text waits. */
import { BvraiError } from '../../core/errors.ts';

/** Of text that waits to be spoken: half an hour of speech, far beyond any reply. */
const MAX_WAITING_LENGTH = 30_000;
const MAX_UTTERANCES = 64;
/** Ids of ended utterances that are remembered, so that a late `speak` or `finish` does not begin them again. */
const MAX_ENDED_IDS = 64;

/** The ids of a stream's utterances that have ended, as far as they are remembered. */
export class EndedIds {
  readonly #ids = new Set<string>();

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  add(id: string): void {
    this.#ids.add(id);
    for (const oldest of this.#ids) {
      if (this.#ids.size <= MAX_ENDED_IDS) return;
      this.#ids.delete(oldest);
    }
  }
}

/** What every adapter keeps of an utterance; each adds its own. */
export interface BookedUtterance {
  readonly id: string;
  /** Text not yet sent, in order. */
  waiting: string[];
  /** No more text comes. */
  finishing: boolean;
}

/** Utterances of one stream, in order of their beginning: unfinished and not cancelled. */
export class UtteranceBook<Utterance extends BookedUtterance> {
  readonly #provider: string;
  readonly #begin: (id: string) => Utterance;
  readonly #live = new Map<string, Utterance>();
  readonly #endedIds = new EndedIds();
  #waitingLength = 0;

  constructor(provider: string, begin: (id: string) => Utterance) {
    this.#provider = provider;
    this.#begin = begin;
  }

  get size(): number {
    return this.#live.size;
  }

  [Symbol.iterator](): IterableIterator<Utterance> {
    return this.#live.values();
  }

  isLive(utterance: Utterance): boolean {
    return this.#live.get(utterance.id) === utterance;
  }

  find(id: string): Utterance | undefined {
    return this.#live.get(id);
  }

  /** The live utterance of this id, begun if it is new; undefined when it has ended or takes no more text. */
  open(id: string): Utterance | undefined {
    if (this.#endedIds.has(id)) return undefined;
    const known = this.#live.get(id);
    if (known !== undefined) return known.finishing ? undefined : known;
    const utterance = this.#begin(id);
    this.#live.set(id, utterance);
    return utterance;
  }

  /** Adds text that waits; what comes back is why it cannot. */
  addText(utterance: Utterance, text: string): BvraiError | undefined {
    if (this.#waitingLength + text.length > MAX_WAITING_LENGTH || this.#live.size > MAX_UTTERANCES) {
      return new BvraiError('provider.overloaded', `${this.#provider} does not take the text that is to be spoken.`, {
        details: { provider: this.#provider, waitingLength: this.#waitingLength, utterances: this.#live.size },
      });
    }
    utterance.waiting.push(text);
    this.#waitingLength += text.length;
    return undefined;
  }

  /** Takes the text that waits, all or the first `count` pieces. */
  takeText(utterance: Utterance, count = Infinity): string[] {
    const taken = utterance.waiting.splice(0, count);
    for (const text of taken) this.#waitingLength -= text.length;
    return taken;
  }

  /** Ends an utterance: it is no longer live, and does not begin again. */
  end(utterance: Utterance): void {
    this.takeText(utterance);
    this.#live.delete(utterance.id);
    this.endUnbegun(utterance.id);
  }

  /** As {@link end}, for one that may never have begun. */
  endUnbegun(id: string): void {
    this.#endedIds.add(id);
  }

  clear(): void {
    this.#live.clear();
    this.#waitingLength = 0;
  }
}
