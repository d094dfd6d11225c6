/** The database as the control plane sees it: the same Postgres, behind a pool (postgres.ts) or embedded (embedded.ts). */
import type { NodePgClient } from 'drizzle-orm/node-postgres';

/** What a query gives back, in the shape of `pg`. */
export interface QueryOutcome {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly rowCount: number | null;
  /** The command's name: SELECT, COMMIT, ROLLBACK… */
  readonly command: string;
}

/** One session of the database, which nobody else uses meanwhile. */
export interface Connection {
  /** One statement with parameters. Errors are the driver's: see errors.ts. */
  query(text: string, values?: readonly unknown[]): Promise<QueryOutcome>;
  /** Several statements without parameters in one round trip; `timeoutMs` overrides the usual bound of a query. */
  run(text: string, timeoutMs?: number): Promise<QueryOutcome>;
  /** The same session, for drizzle. */
  readonly client: NodePgClient;
}

/** Hears what NOTIFY says on one channel. */
export interface NotificationListener {
  readonly channel: string;
  onNotification(payload: string): void;
  /**
   * The channel is heard from now on: called after the first connection and after each that replaces a lost one. What was
   * said before was missed, so whoever caches by notifications flushes here.
   */
  onConnected(): void;
}

/** A database that is open. Its owner closes it. */
export interface Database {
  readonly kind: 'postgres' | 'embedded';
  /**
   * Runs `work` on a session of its own. Throws `db.unavailable` or `db.timeout` when there is none in time; what `work`
   * throws comes through as it is, and a session that it leaves in doubt is not used again.
   */
  withConnection<T>(work: (connection: Connection) => Promise<T>): Promise<T>;
  /** Listens until the result is called; connects, and connects again, in the background. */
  listen(listener: NotificationListener): () => void;
  /** Gives back every resource; whoever waits for a session gets `db.unavailable`. Idempotent. */
  close(): Promise<void>;
}
