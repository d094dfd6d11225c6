/**
 * What calls say, on disk until the database has it: numbered files of lines, written at one end and read at the other.
 *
 * A line counts as safe when it has been written to its file: that survives the end of the process, by kill -9 as well. The
 * files are synced to the disk itself once a second and when a call ends, which bounds what a power cut can take.
 */
import { Buffer } from 'node:buffer';
import { mkdir, open, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { formatLine, isEssential, parseLine } from './spool-lines.ts';
import type { SpoolLine } from './spool-lines.ts';

export interface SpoolOptions {
  /** Made if need be; nobody else writes there (data-directory.ts). */
  readonly directory: string;
  readonly log: Log;
  /** Of all files together. When they are full, the oldest lines that are not essential go. */
  readonly maxBytes?: number;
  readonly segmentBytes?: number;
}

/** Lines in the order of their writing; `commit` says that the database has them. */
export interface SpoolBatch {
  readonly lines: readonly SpoolLine[];
  readonly segment: Segment;
  readonly endOffset: number;
}

interface Segment {
  readonly number: number;
  readonly path: string;
  /** Written so far. */
  bytes: number;
  /** Nothing but essential lines is left in it. */
  thinned: boolean;
}

interface Queued {
  readonly text: string;
  readonly essential: boolean;
}

const MAX_BYTES = 256 * 1_024 * 1_024;
/** A file goes when the database has all of it: what a restart writes once more is at most the last one. */
const SEGMENT_BYTES = 256 * 1_024;
/** Lines that wait for a disk that does not take them. */
const MAX_QUEUED_BYTES = 8 * 1_024 * 1_024;
const SYNC_EVERY_MS = 1_000;
const RETRY_MS = 1_000;
const READ_BYTES = 256 * 1_024;
const MAX_BATCH_LINES = 500;

export class Spool {
  readonly #directory: string;
  readonly #log: Log;
  readonly #maxBytes: number;
  readonly #segmentBytes: number;
  /** Oldest first; the reader is in the first, the writer in the last once it has written. */
  readonly #segments: Segment[];
  readonly #stop = new AbortController();
  readonly #firstOwnNumber: number;
  readonly #replayed: Promise<void>;
  #resolveReplayed: () => void = () => {};
  #nextNumber: number;
  #readOffset = 0;
  #writable: { readonly segment: Segment; readonly handle: FileHandle } | undefined;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  /** Of lines on their way into their file. */
  #writingBytes = 0;
  #writing: Promise<void> | undefined;
  #syncedAtMs = 0;
  #writes = 0;
  #thinning: { readonly segment: Segment; readonly done: Promise<void> } | undefined;
  #droppedLines = 0;
  #wakeReader: (() => void) | undefined;

  private constructor(options: SpoolOptions, segments: Segment[]) {
    this.#directory = options.directory;
    this.#log = options.log;
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    this.#segments = segments;
    this.#firstOwnNumber = (segments.at(-1)?.number ?? 0) + 1;
    this.#nextNumber = this.#firstOwnNumber;
    this.#replayed = new Promise((resolve) => (this.#resolveReplayed = resolve));
    this.#noticeReplayed();
  }

  /** Opens the directory with what an earlier process left in it, which is read first. */
  static async open(options: SpoolOptions): Promise<Spool> {
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    const names = (await readdir(options.directory)).filter((name) => /^\d{9}\.jsonl$/u.test(name)).sort();
    const segments = await Promise.all(
      names.map(async (name): Promise<Segment> => {
        const path = join(options.directory, name);
        return { number: Number.parseInt(name, 10), path, bytes: (await stat(path)).size, thinned: false };
      }),
    );
    return new Spool(options, segments);
  }

  /** Resolves when all that an earlier process left has been committed. */
  get replayed(): Promise<void> {
    return this.#replayed;
  }

  /** Bytes that the database has not got. */
  get waitingBytes(): number {
    return this.#storedBytes() - this.#readOffset + this.unsafeBytes;
  }

  /** Of those, the ones that are in no file yet, and would go with this process. */
  get unsafeBytes(): number {
    return this.#writingBytes + this.#queuedBytes;
  }

  /** Lines that were let go of because the spool was full, or that could not be read. */
  get droppedLines(): number {
    return this.#droppedLines;
  }

  /** Takes a line at once; never throws and never waits. */
  append(line: SpoolLine): void {
    const queued = { text: formatLine(line), essential: isEssential(line) };
    this.#queue.push(queued);
    this.#queuedBytes += queued.text.length;
    if (this.#queuedBytes > MAX_QUEUED_BYTES) this.#dropQueued();
    this.#writing ??= this.#write();
  }

  /** The lines after the last committed ones, as soon as there are any; undefined once `signal` aborts. */
  async next(signal: AbortSignal): Promise<SpoolBatch | undefined> {
    while (!signal.aborted) {
      const writes = this.#writes;
      const batch = await this.#read();
      if (batch) return batch;
      // Written while it was looked for.
      if (writes !== this.#writes) continue;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#wakeReader = wake;
        signal.addEventListener('abort', wake, { once: true });
      });
    }
    return undefined;
  }

  /** The database has the lines of `batch`: files that it finished are removed. */
  async commit({ segment, endOffset }: SpoolBatch): Promise<void> {
    if (segment !== this.#segments[0]) throw new BvraiError('internal', 'A spool batch was committed twice.');
    this.#readOffset = endOffset;
    if (endOffset >= segment.bytes && segment !== this.#writable?.segment) await this.#removeFirst();
  }

  /** Writes what is queued and lets go of the files. What the database has not got stays for the next process. */
  async close(): Promise<void> {
    await Promise.race([this.#writing, sleep(2 * RETRY_MS, undefined, { ref: false })]);
    this.#stop.abort();
    await this.#writing;
    await this.#endSegment();
    const [first] = this.#segments;
    if (first && this.#readOffset >= first.bytes) await this.#removeFirst();
  }

  async #read(): Promise<SpoolBatch | undefined> {
    for (;;) {
      const segment = this.#segments[0];
      if (!segment) return undefined;
      if (this.#thinning?.segment === segment) await this.#thinning.done;
      const text = await readLines(segment.path, this.#readOffset, segment.bytes);
      if (text !== '') return this.#toBatch(segment, text);
      if (segment === this.#writable?.segment) return undefined;
      // Nothing but a line that was cut when its process ended, or nothing at all.
      await this.#removeFirst();
    }
  }

  #toBatch(segment: Segment, text: string): SpoolBatch {
    const lines: SpoolLine[] = [];
    let end = 0;
    for (let taken = 0; taken < MAX_BATCH_LINES && end < text.length; taken++) {
      const lineEnd = text.indexOf('\n', end);
      try {
        lines.push(parseLine(text.slice(end, lineEnd)));
      } catch (thrown) {
        this.#droppedLines++;
        this.#log.error({ err: thrown, file: segment.path }, 'a line of the spool of call records is unreadable');
      }
      end = lineEnd + 1;
    }
    return { lines, segment, endOffset: this.#readOffset + Buffer.byteLength(text.slice(0, end)) };
  }

  /** The one writer; runs while there is something queued. */
  async #write(): Promise<void> {
    while (this.#queue.length > 0 && !this.#stop.signal.aborted) {
      const taken = this.#queue;
      this.#queue = [];
      this.#writingBytes = this.#queuedBytes;
      this.#queuedBytes = 0;
      let isWritten = false;
      try {
        await this.#writeLines(taken);
        isWritten = true;
        await this.#settle(taken);
      } catch (thrown) {
        if (isWritten) {
          // What is in its file is not written once more.
          this.#log.error({ err: thrown }, 'the spool of call records could not be synced or thinned');
          continue;
        }
        this.#log.error(
          { err: thrown, lines: taken.length },
          'call records cannot be written to the spool; trying again',
        );
        this.#writingBytes = 0;
        this.#queue.unshift(...taken);
        this.#queuedBytes = this.#queue.reduce((sum, { text }) => sum + text.length, 0);
        if (this.#queuedBytes > MAX_QUEUED_BYTES) this.#dropQueued();
        await sleep(RETRY_MS, undefined, { signal: this.#stop.signal }).catch(() => {});
      }
    }
    this.#writing = undefined;
  }

  async #writeLines(lines: readonly Queued[]): Promise<void> {
    const { segment, handle } = this.#writable ?? (await this.#beginSegment());
    const bytes = Buffer.from(lines.map(({ text }) => text).join(''));
    try {
      await handle.writeFile(bytes);
    } catch (thrown) {
      // What was written of it would break the line that is written next.
      await handle.truncate(segment.bytes).catch(() => this.#endSegment());
      throw thrown;
    }
    segment.bytes += bytes.length;
    this.#writingBytes = 0;
    this.#writes++;
    this.#wakeReader?.();
  }

  /** What is due once lines are in their file. */
  async #settle(lines: readonly Queued[]): Promise<void> {
    const nowMs = performance.now();
    if (lines.some(({ essential }) => essential) || nowMs - this.#syncedAtMs >= SYNC_EVERY_MS) {
      await this.#writable?.handle.datasync();
      this.#syncedAtMs = nowMs;
    }
    if ((this.#writable?.segment.bytes ?? 0) >= this.#segmentBytes) await this.#endSegment();
    if (this.#storedBytes() > this.#maxBytes) await this.#thinOldest();
  }

  async #beginSegment(): Promise<{ segment: Segment; handle: FileHandle }> {
    const number = this.#nextNumber++;
    const path = join(this.#directory, `${String(number).padStart(9, '0')}.jsonl`);
    // Appending: after a truncation the next write goes to the new end.
    const handle = await open(path, 'a', 0o600);
    const segment = { number, path, bytes: 0, thinned: false };
    this.#segments.push(segment);
    return (this.#writable = { segment, handle });
  }

  async #endSegment(): Promise<void> {
    const written = this.#writable;
    this.#writable = undefined;
    if (!written) return;
    try {
      await written.handle.datasync();
    } finally {
      await written.handle.close();
    }
  }

  async #removeFirst(): Promise<void> {
    const segment = this.#segments[0];
    if (!segment) return;
    this.#segments.shift();
    this.#readOffset = 0;
    await rm(segment.path, { force: true });
    this.#noticeReplayed();
  }

  #noticeReplayed(): void {
    if ((this.#segments[0]?.number ?? this.#firstOwnNumber) >= this.#firstOwnNumber) this.#resolveReplayed();
  }

  /** Keeps the essential lines of the oldest file that nobody reads or writes. */
  async #thinOldest(): Promise<void> {
    const segment = this.#segments.slice(1).find((one) => !one.thinned && one !== this.#writable?.segment);
    if (!segment) return;
    const done = this.#thin(segment);
    // The reader may come to this file meanwhile; it only waits, the writer hears of a failure.
    this.#thinning = { segment, done: done.catch(() => {}) };
    await done.finally(() => (this.#thinning = undefined));
  }

  async #thin(segment: Segment): Promise<void> {
    segment.thinned = true;
    const lines = (await readFile(segment.path, 'utf8')).split('\n').filter((text) => text !== '');
    const kept = lines.filter(isEssentialText);
    const text = kept.map((line) => `${line}\n`).join('');
    await writeFile(`${segment.path}.new`, text, { mode: 0o600 });
    await rename(`${segment.path}.new`, segment.path);
    segment.bytes = Buffer.byteLength(text);
    this.#dropped(lines.length - kept.length, 'the spool of call records is full');
  }

  #dropQueued(): void {
    const before = this.#queue.length;
    let excess = this.#queuedBytes - MAX_QUEUED_BYTES * 0.75;
    this.#queue = this.#queue.filter(({ text, essential }) => {
      if (essential || excess <= 0) return true;
      excess -= text.length;
      this.#queuedBytes -= text.length;
      return false;
    });
    this.#dropped(before - this.#queue.length, 'the disk does not take the spool of call records');
  }

  #dropped(lines: number, why: string): void {
    this.#droppedLines += lines;
    this.#log.error({ lines, droppedSoFar: this.#droppedLines }, `${why}: its oldest events were dropped`);
  }

  #storedBytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

/** False also for what is no line: one that was cut when its process ended. */
function isEssentialText(text: string): boolean {
  try {
    return isEssential(parseLine(text));
  } catch {
    return false;
  }
}

/** Whole lines from `offset` on, about READ_BYTES of them, at least one if there is one. */
async function readLines(path: string, offset: number, end: number): Promise<string> {
  if (offset >= end) return '';
  const handle = await open(path, 'r');
  try {
    for (let wanted = READ_BYTES; ; wanted *= 2) {
      const length = Math.min(wanted, end - offset);
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
      const lastLineFeed = buffer.subarray(0, bytesRead).lastIndexOf(0x0a);
      if (lastLineFeed >= 0) return buffer.toString('utf8', 0, lastLineFeed + 1);
      if (length < wanted || bytesRead < length) return '';
    }
  } finally {
    await handle.close();
  }
}
