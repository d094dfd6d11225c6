/** The commits of a realtime transcription that are still being transcribed. */

/** Far more than a caller can have said while one of them is being transcribed. */
const MAX_OPEN_ITEMS = 16;
/** Of the text of one: a quarter of an hour of speech. */
const MAX_TEXT_LENGTH = 20_000;
const MAX_ENDED_IDS = 32;

export interface CompletedItem {
  readonly text: string;
  readonly confidence: number;
}

interface Item {
  text: string;
  completed: CompletedItem | undefined;
}

/** Puts transcripts that may arrive in any order into the order of what was said. Bounded: see {@link TranscriptItems.overflowed}. */
export class TranscriptItems {
  /** In the order in which they were first heard of. */
  readonly #open = new Map<string, Item>();
  /** A late event about one of these must not open it again: it would hold up all that follow. */
  readonly #endedIds = new Set<string>();

  /** True when the vendor opens items, or lengthens one, beyond all reason. */
  get overflowed(): boolean {
    if (this.#open.size > MAX_OPEN_ITEMS) return true;
    for (const { text } of this.#open.values()) if (text.length > MAX_TEXT_LENGTH) return true;
    return false;
  }

  get size(): number {
    return this.#open.size;
  }

  begin(itemId: string): void {
    this.#itemOf(itemId);
  }

  /** Appends to an item's text. Returns all of it if nothing that was said before is still open, else nothing. */
  append(itemId: string, text: string): string {
    const item = this.#itemOf(itemId);
    if (item === undefined || item.completed !== undefined) return '';
    item.text += text;
    const [first] = this.#open.values();
    return first === item ? item.text : '';
  }

  /** Ends an item. Returns those that may now be told, in order: none while an earlier one is open. */
  complete(itemId: string, completed: CompletedItem): CompletedItem[] {
    const item = this.#itemOf(itemId);
    if (item === undefined) return [];
    item.completed ??= completed;
    const due: CompletedItem[] = [];
    for (const [id, { completed: done }] of this.#open) {
      if (done === undefined) break;
      due.push(done);
      this.#open.delete(id);
      this.#rememberEnded(id);
    }
    return due;
  }

  #itemOf(itemId: string): Item | undefined {
    if (this.#endedIds.has(itemId)) return undefined;
    let item = this.#open.get(itemId);
    if (item === undefined) {
      item = { text: '', completed: undefined };
      this.#open.set(itemId, item);
    }
    return item;
  }

  #rememberEnded(itemId: string): void {
    this.#endedIds.add(itemId);
    if (this.#endedIds.size <= MAX_ENDED_IDS) return;
    const [oldest] = this.#endedIds;
    if (oldest !== undefined) this.#endedIds.delete(oldest);
  }
}
