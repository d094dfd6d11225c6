/** Mutated messages by the hundred thousand through one adapter's live driver: real sockets in, parts out, nothing left behind. */
import { Random, seedOf } from '../simulation/random.ts';
import { Mutator, heapInUseBytes } from '../providers/fuzzing.ts';
import { until } from '../providers/harness.ts';
import type { FuzzedAdapter } from './adapters.ts';
import { CountingClock, CountingConnections, countingDialler } from './counting.ts';
import type { Session } from './streams.ts';
import { startBabbler } from './vendor.ts';
import type { Babble, BabblingVendor } from './vendor.ts';

export interface FuzzReport {
  readonly adapter: string;
  /** That the driver was handed while its stream lived; what came too late is not among them. */
  readonly messages: number;
  readonly streams: number;
  readonly parts: number;
  /** After a full collection, from a fifth of the way to the end. */
  readonly grownBytes: number;
  readonly elapsedMs: number;
  /** What went wrong; the first of each kind. */
  readonly faults: readonly string[];
}

/** What so many messages may leave behind: caches of the engine's, nothing of ours. */
export const MAX_GROWTH_BYTES = 6 * 1024 * 1024;
/** Streams at a time: enough to keep a core busy while sockets open and close. */
const AT_ONCE = 8;
/** Messages that one connection or body says, at most. */
const MAX_BABBLE = 64;
const CLOSE_CODES = [1000, 1001, 1006, 1008, 1011, 4321] as const;
const STATUSES = [204, 302, 400, 401, 429, 500, 529] as const;

/** Feeds the adapter until it has read that many; the same seed gives the same messages. */
export async function fuzzAdapter(adapter: FuzzedAdapter, messages: number, seed: number): Promise<FuzzReport> {
  const run = new FuzzRun(adapter, seed);
  const faults = new ProcessFaults();
  const startedMs = performance.now();
  let grownBytes = Number.NaN;
  try {
    await run.start();
    await run.feed(messages / 5);
    const beforeBytes = bytesInUse();
    await run.feed(messages);
    await run.settle();
    grownBytes = bytesInUse() - beforeBytes;
    if (grownBytes > MAX_GROWTH_BYTES) faults.add(`${Math.round(grownBytes / 1024)} KiB were kept`);
  } catch (thrown) {
    faults.add(`a stream broke a rule: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  } finally {
    await run.close();
    faults.stop();
  }
  const elapsedMs = performance.now() - startedMs;
  const { messages: read, streams, parts } = run;
  return { adapter: adapter.name, messages: read, streams, parts, grownBytes, elapsedMs, faults: faults.seen };
}

function bytesInUse(): number {
  heapInUseBytes();
  // What lies outside the heap is let go only after a collection.
  const heap = heapInUseBytes();
  return heap + process.memoryUsage().external;
}

/** What the process says of faults that nobody has caught. */
class ProcessFaults {
  readonly #seen = new Set<string>();
  readonly #onFault = (fault: unknown): void => {
    this.add(fault instanceof Error ? `${fault.name}: ${fault.message}` : String(fault));
  };

  constructor() {
    for (const event of ['uncaughtException', 'unhandledRejection', 'warning']) process.on(event, this.#onFault);
  }

  get seen(): readonly string[] {
    return [...this.#seen];
  }

  add(fault: string): void {
    if (this.#seen.size < 10) this.#seen.add(fault.slice(0, 300));
  }

  stop(): void {
    for (const event of ['uncaughtException', 'unhandledRejection', 'warning']) process.off(event, this.#onFault);
  }
}

class FuzzRun {
  messages = 0;
  streams = 0;
  parts = 0;
  /** A stream broke a rule: the others end, and no more are begun. */
  #broken = false;
  readonly #adapter: FuzzedAdapter;
  readonly #mutator: Mutator;
  readonly #random: Random;
  readonly #clock = new CountingClock();
  readonly #connections = new CountingConnections(() => this.messages++);
  /** Bytes from quiet to any at all, of which bodies and audio are cut. */
  readonly #noise: Uint8Array;
  #vendor: BabblingVendor | undefined;
  /** Of HTTP: one adapter serves all streams, as in a server. */
  #shared: Session | undefined;

  constructor(adapter: FuzzedAdapter, seed: number) {
    this.#adapter = adapter;
    this.#mutator = new Mutator(adapter.recorded, `${adapter.name}/${seed}`);
    const random = new Random(seedOf(`${adapter.name}/streams/${seed}`));
    this.#random = random;
    this.#noise = Uint8Array.from({ length: 20_000 }, (_, n) => 256 - random.int(1, 1 + Math.floor(n / 80)));
  }

  async start(): Promise<void> {
    const { wire, speaksFirst = false } = this.#adapter;
    this.#vendor = await startBabbler({ next: () => this.#babble(), speaksFirst, events: wire === 'events' });
  }

  /** Until so many messages have been read in all. */
  async feed(messages: number): Promise<void> {
    const work = async (): Promise<void> => {
      while (this.messages < messages && !this.#broken) {
        await this.#stream();
        this.streams++;
      }
    };
    const workers = Array.from({ length: AT_ONCE }, () =>
      work().catch((thrown: unknown) => {
        this.#broken = true;
        throw thrown;
      }),
    );
    const failed = (await Promise.allSettled(workers)).find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }

  /** Everything that belongs to a stream has gone. */
  async settle(): Promise<void> {
    await until('the sockets gone', () => this.#vendor?.open === 0);
    await until('the timers gone', () => this.#clock.pendingTimers === 0);
  }

  async close(): Promise<void> {
    await this.#connections.close();
    await this.#vendor?.close();
  }

  async #stream(): Promise<void> {
    const state = { read: 0, hungUp: false, over: false };
    const onMessage = (): void => {
      if (state.over) return;
      state.read++;
      this.messages++;
    };
    const dialler = countingDialler(onMessage, () => (state.hungUp = true));
    const reach = { url: this.#vendor?.url ?? '', dialler, connections: this.#connections };
    const line = {
      clock: this.#clock,
      random: this.#random,
      get read() {
        return state.read;
      },
      get hungUp() {
        return state.hungUp;
      },
      end: () => (state.over = true),
    };
    const session = this.#shared ?? this.#adapter.session(reach);
    if (this.#adapter.wire !== 'socket') this.#shared = session;
    const parts = await session(line);
    this.parts += parts;
  }

  /** Of messages that end a stream one at most, at the end. */
  #babble(): Babble {
    const random = this.#random;
    const count = random.int(0, MAX_BABBLE);
    const messages: (string | Uint8Array)[] = this.#adapter.body?.(random, count) ?? [];
    while (this.#adapter.body === undefined && messages.length < count) {
      const message = this.#message();
      const ends = typeof message === 'string' && this.#adapter.ends(message);
      if (!ends) messages.push(message);
      else if (messages.length === count - 1 || random.chance(1 / MAX_BABBLE)) {
        messages.push(message);
        break;
      }
    }
    const cutOff = random.chance(0.2);
    const status = random.chance(0.8) ? 200 : this.#mutator.pick(STATUSES);
    return { messages, closeCode: this.#mutator.pick(CLOSE_CODES), status, cutOff };
  }

  #message(): string | Uint8Array {
    const { wire, name } = this.#adapter;
    const random = this.#random;
    if (wire === 'bytes' || (name === 'deepgram aura' && random.chance(0.3))) return this.#bytes();
    return this.#mutator.next();
  }

  /** As vendors might send them: samples, text, files, nothing. */
  #bytes(): Uint8Array {
    const random = this.#random;
    const dice = random.next();
    // Rarely: each of these ends a body.
    if (dice < 0.01) return Buffer.from(this.#mutator.next());
    if (dice < 0.02) return Buffer.concat([Buffer.from('RIFF'), Buffer.alloc(40)]);
    if (dice < 0.06) return new Uint8Array();
    const at = random.int(0, this.#noise.length - 400);
    return this.#noise.subarray(at, at + random.int(1, 400));
  }
}
