/** Keeps the newest bytes of a stream; writing copies into place and allocates nothing. */
export class RingBuffer {
  readonly #bytes: Uint8Array;
  #written = 0;

  constructor(capacityBytes: number) {
    this.#bytes = new Uint8Array(capacityBytes);
  }

  /** All that was ever written. */
  get writtenBytes(): number {
    return this.#written;
  }

  write(data: Uint8Array): void {
    const capacity = this.#bytes.length;
    const kept = data.length > capacity ? data.subarray(data.length - capacity) : data;
    const at = (this.#written + data.length - kept.length) % capacity;
    const head = Math.min(kept.length, capacity - at);
    this.#bytes.set(kept.subarray(0, head), at);
    this.#bytes.set(kept.subarray(head), 0);
    this.#written += data.length;
  }

  /** A copy of the newest bytes, oldest first: `count`, or as many as there are. */
  newest(count: number): Uint8Array<ArrayBuffer> {
    const capacity = this.#bytes.length;
    const length = Math.max(0, Math.min(count, capacity, this.#written));
    const copy = new Uint8Array(length);
    const at = (this.#written - length) % capacity;
    const head = Math.min(length, capacity - at);
    copy.set(this.#bytes.subarray(at, at + head));
    copy.set(this.#bytes.subarray(0, length - head), head);
    return copy;
  }
}
