/** The embedded database: PGlite (Postgres in WebAssembly) in a thread of its own, so that no query delays a call's audio. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodePgClient } from 'drizzle-orm/node-postgres';
import type pg from 'pg';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Connection, Database, NotificationListener, QueryOutcome } from './database.ts';
import { EmbeddedThread } from './embedded-thread.ts';
import type { RawResult } from './embedded-protocol.ts';
import { parserOf, toParameter, toRows } from './embedded-values.ts';
import { endsSession } from './errors.ts';
import { NotificationListeners } from './notification-listeners.ts';

export interface EmbeddedOptions {
  /** The data directory, held by this process (data-directory.ts); undefined: a database in memory. */
  readonly directory: string | undefined;
  readonly log: Log;
}

/** PGlite is one session: whoever wants it queues. More than this many, or longer than this, means that it cannot keep up. */
const MAX_WAITING = 500;
const WAIT_TIMEOUT_MS = 10_000;
const QUERY_TIMEOUT_MS = 30_000;

/** Opens the embedded database, which takes 2–4 s the first time and under one later. */
export async function openEmbedded({ directory, log }: EmbeddedOptions): Promise<Database> {
  const path = directory === undefined ? undefined : join(directory, 'pglite');
  // PGlite's own files are everybody's to read and write: what the folder does not hide is open where DATA_DIR is.
  if (path !== undefined) await mkdir(path, { recursive: true, mode: 0o700 });
  const database = new EmbeddedDatabase(path, log);
  await database.open();
  return database;
}

class EmbeddedDatabase implements Database {
  readonly kind = 'embedded';
  readonly #log: Log;
  readonly #thread: EmbeddedThread;
  readonly #listeners: NotificationListeners;
  readonly #turns = new Turns();
  #closing: Promise<void> | undefined;

  constructor(path: string | undefined, log: Log) {
    this.#log = log;
    this.#listeners = new NotificationListeners(log);
    this.#thread = new EmbeddedThread(path, {
      log,
      onOpened: () => this.#hear(this.#listeners.all),
      onNotification: (channel, payload) => this.#listeners.deliver(channel, payload),
    });
  }

  open(): Promise<void> {
    return this.#thread.ready();
  }

  async withConnection<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    if (this.#closing) throw new BvraiError('db.unavailable', 'The database is closed: the server is stopping.');
    const giveBack = await this.#turns.take();
    try {
      await this.#thread.ready();
      return await work(toConnection(this.#thread));
    } catch (thrown) {
      // A thread that did not answer in time is busy with the old query, inside an open transaction.
      if (endsSession(thrown)) await this.#thread.stop();
      throw thrown;
    } finally {
      giveBack();
    }
  }

  listen(listener: NotificationListener): () => void {
    const remove = this.#listeners.add(listener);
    // Before that, its opening will see to it.
    if (this.#thread.isOpen) this.#hear([listener]);
    return remove;
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#listeners.clear();
    // Whoever is inside finishes; whoever waits is turned away.
    const giveBack = await this.#turns.close();
    await this.#thread.close();
    giveBack();
  }

  #hear(listeners: readonly NotificationListener[]): void {
    for (const listener of listeners) {
      this.#thread.ask({ type: 'listen', channel: listener.channel }, QUERY_TIMEOUT_MS).then(
        () => this.#listeners.connected(listener),
        (thrown: unknown) => this.#log.warn({ err: thrown, channel: listener.channel }, 'LISTEN failed'),
      );
    }
  }
}

/** Hands the one session from one user to the next, in the order of asking. */
class Turns {
  readonly #waiting: { readonly begin: () => void; readonly refuse: (error: BvraiError) => void }[] = [];
  #taken = false;

  /** Resolves when it is the caller's turn, to what ends it. */
  async take(timeoutMs: number = WAIT_TIMEOUT_MS): Promise<() => void> {
    if (this.#taken) await this.#wait(timeoutMs);
    this.#taken = true;
    return () => {
      const next = this.#waiting.shift();
      if (next) next.begin();
      else this.#taken = false;
    };
  }

  /** Turns all who wait away, and waits for the one inside. */
  close(): Promise<() => void> {
    for (const { refuse } of this.#waiting.splice(0)) {
      refuse(new BvraiError('db.unavailable', 'The database is closed: the server is stopping.'));
    }
    return this.take(QUERY_TIMEOUT_MS);
  }

  #wait(timeoutMs: number): Promise<void> {
    if (this.#waiting.length >= MAX_WAITING) {
      throw new BvraiError(
        'db.unavailable',
        `The embedded database cannot keep up: ${MAX_WAITING} transactions wait for it.`,
      );
    }
    return new Promise((resolve, reject) => {
      const turn = {
        begin: () => {
          clearTimeout(timer);
          resolve();
        },
        refuse: (error: BvraiError) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1);
        turn.refuse(new BvraiError('db.timeout', `The embedded database was busy for ${timeoutMs} ms.`));
      }, timeoutMs);
      this.#waiting.push(turn);
    });
  }
}

/** What drizzle's driver for `pg` asks of a client: `query(config, values)` with parsers of its own. */
interface QueryConfig {
  readonly text: string;
  readonly rowMode?: 'array';
  readonly types?: pg.CustomTypesConfig;
}

function toConnection(thread: EmbeddedThread): Connection {
  const query = async (config: string | QueryConfig, values: readonly unknown[] = []): Promise<QueryOutcome> => {
    const { text, rowMode, types } = typeof config === 'string' ? { text: config } : config;
    const result = await thread.ask({ type: 'query', text, values: values.map(toParameter) }, QUERY_TIMEOUT_MS);
    return toOutcome(result, rowMode, types);
  };
  return {
    query,
    run: async (text, timeoutMs = QUERY_TIMEOUT_MS) => toOutcome(await thread.ask({ type: 'run', text }, timeoutMs)),
    // Of a client's methods drizzle calls `query` only, as long as no transaction is begun through drizzle (tenant.ts).
    client: { query } as unknown as NodePgClient,
  };
}

function toOutcome(result: RawResult | undefined, rowMode?: 'array', types?: pg.CustomTypesConfig): QueryOutcome {
  if (!result) return { rows: [], rowCount: 0, command: '' };
  const rows = toRows(result, rowMode, parserOf(types)) as Record<string, unknown>[];
  return { rows, rowCount: rows.length > 0 ? rows.length : result.affectedRows, command: result.command };
}
