/** An emulated vendor for the tests of one file: each test starts it anew, and it ends with the test. */
import { afterEach } from 'vitest';
import type { Emulator, EmulatorSettings } from '../../bench/emulators/server.ts';
import { until } from './harness.ts';

/** How an adapter reaches its vendor. */
export interface Access {
  readonly apiKey: string;
  readonly baseUrl: string;
  readonly connectTimeoutMs: number;
}

/** Starts a vendor's emulator; what is not given is as quick as it can be. */
export type Emulate<Settings extends EmulatorSettings> = (settings: Partial<Settings>) => Promise<Emulator<Settings>>;

export class Emulated<Settings extends EmulatorSettings> {
  readonly #emulate: Emulate<Settings>;
  #running: Emulator<Settings> | undefined;

  constructor(emulate: Emulate<Settings>) {
    this.#emulate = emulate;
    afterEach(() => this.stop());
  }

  async start(settings: Partial<Settings> = {}): Promise<void> {
    await this.stop();
    this.#running = await this.#emulate(settings);
  }

  async stop(): Promise<void> {
    await this.#running?.close();
    this.#running = undefined;
  }

  get emulator(): Emulator<Settings> {
    if (this.#running === undefined) throw new Error('The test has not started its emulator.');
    return this.#running;
  }

  /** The text messages and request bodies that the vendor got. */
  get texts(): string[] {
    return this.emulator.received.map(({ text }) => text);
  }

  /** How the emulator is reached, but for what is given. `basePath`: another one than the vendor's, after the origin. */
  access(given: Partial<Access> = {}, basePath?: string): Access {
    const { settings, url } = this.emulator;
    const baseUrl = basePath === undefined ? url : new URL(basePath, url).href;
    return { apiKey: settings.apiKey, baseUrl, connectTimeoutMs: 10_000, ...given };
  }

  /** Waits until no connection is left. */
  async gone(): Promise<void> {
    await until('all connections gone', () => this.emulator.connections === 0);
  }

  /** Waits until no request is left; connections may be kept for the next one. */
  async idle(): Promise<void> {
    await until('no request left', () => this.emulator.activeRequests === 0);
  }
}
