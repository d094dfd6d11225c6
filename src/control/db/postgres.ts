/** Postgres behind a pool. */
import pg from 'pg';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Connection, Database, NotificationListener, QueryOutcome } from './database.ts';
import { endsSession, toDatabaseError } from './errors.ts';
import { PostgresListeners } from './postgres-listeners.ts';

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`; its user owns the tables or may become `bvrai_app`. */
  readonly url: string;
  readonly log: Log;
  /** Sessions at most. */
  readonly poolSize?: number;
  /** For a statement. Default 10 s. */
  readonly statementTimeoutMs?: number;
}

const POOL_SIZE = 20;
/** For a session from the pool: a request that waits longer is better told so. */
const CONNECT_TIMEOUT_MS = 3_000;
const IDLE_TIMEOUT_MS = 30_000;
const STATEMENT_TIMEOUT_MS = 10_000;
const LOCK_TIMEOUT_MS = 3_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 15_000;
/** Our own bound lies so much behind, for a server that hangs and so cannot enforce its (reliability.md, fault 35). */
const HUNG_AFTER_MS = 2_000;

/** What each session is opened with. */
function connectionSettings(url: string, statementTimeoutMs = STATEMENT_TIMEOUT_MS): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: 'bvrai',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: statementTimeoutMs,
    lock_timeout: LOCK_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    query_timeout: statementTimeoutMs + HUNG_AFTER_MS,
    keepAlive: true,
  };
}

/** Opens a pool. Nothing is connected yet: that happens with the first use. */
export function openPostgres({ url, log, poolSize = POOL_SIZE, statementTimeoutMs }: PostgresOptions): Database {
  const pool = new pg.Pool({
    ...connectionSettings(url, statementTimeoutMs),
    // What is asked does not wait for the answer to what was asked before (tenant.ts).
    pipeline: true,
    max: poolSize,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
  });
  // Without a listener an idle session that the server ends would take the process with it (reliability.md, fault 36).
  pool.on('error', (error) => log.warn({ err: toDatabaseError(error) }, 'an idle database session ended'));
  // One that is lent, between two queries, tells nobody else: its borrower hears of it with the next query.
  pool.on('connect', (client) => client.on('error', (error) => log.debug({ err: error }, 'a database session ended')));
  const listeners = new PostgresListeners(connectionSettings(url), log);
  let closing: Promise<void> | undefined;
  return {
    kind: 'postgres',
    async withConnection(work) {
      if (closing) throw new BvraiError('db.unavailable', 'The database is closed: the server is stopping.');
      const client = await pool.connect().catch((thrown: unknown) => {
        const error = toDatabaseError(thrown);
        // Whatever it is: there is no session.
        throw error.retryable ? error : new BvraiError('db.unavailable', error.message, { cause: error });
      });
      let failure: unknown;
      try {
        return await work(toConnection(client));
      } catch (thrown) {
        failure = thrown;
        throw thrown;
      } finally {
        client.release(failure !== undefined && endsSession(failure));
      }
    },
    listen: (listener: NotificationListener) => listeners.add(listener),
    close: () => (closing ??= Promise.all([pool.end(), listeners.close()]).then(() => {})),
  };
}

type Row = Record<string, unknown>;
type Result = pg.QueryResult<Row>;

function toConnection(client: pg.PoolClient): Connection {
  return {
    client,
    query: async (text, values) => toOutcome(await client.query<Row>(text, values && [...values])),
    run: async (text, timeoutMs) => {
      const config = { text, ...(timeoutMs === undefined ? {} : { query_timeout: timeoutMs }) };
      const last = lastOf(await client.query<Row>(config));
      return last ? toOutcome(last) : { rows: [], rowCount: 0, command: '' };
    },
  };
}

/** With several statements `pg` gives a list of results, which its types do not know. */
function lastOf(results: Result | readonly Result[]): Result | undefined {
  return 'length' in results ? results.at(-1) : results;
}

function toOutcome({ rows, rowCount, command }: Result): QueryOutcome {
  return { rows, rowCount, command };
}
