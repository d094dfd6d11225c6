/** The only door to tenants' data: one transaction, as a role that row-level security binds, with the tenant set. */
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import type { NodePgClient, NodePgDatabase } from 'drizzle-orm/node-postgres';
import { setTimeout as sleep } from 'node:timers/promises';
import { BvraiError } from '../../core/errors.ts';
import type { Connection, Database } from './database.ts';
import { endsSession, lostAgainstAnother, toDatabaseError } from './errors.ts';
import { isId } from './ids.ts';

/** Queries of one transaction. It begins and ends with the door's call-back, so it has no `transaction` of its own. */
export type Transaction = Omit<NodePgDatabase, 'transaction' | '$client'>;

export interface TransactionOptions {
  /** The user on whose behalf; policies let a user see their own memberships, organizations and account. */
  readonly userId?: string | undefined;
  /** Default `read committed`. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable';
  /**
   * The call-back asks exactly one query, which changes nothing: begin, query and commit then go to the database together, one
   * round trip instead of three. A second query throws `internal`.
   */
  readonly oneRead?: boolean;
}

/**
 * Every call-back runs in one transaction, which is committed when it returns and rolled back when it throws. It may run
 * again when it lost against a concurrent transaction (serialization failure, deadlock), so it changes nothing outside.
 *
 * Throws `db.unavailable`, `db.timeout`, `conflict` (`details.constraint` says which), `reference-missing` or
 * `invalid-value`; what the call-back throws itself comes through.
 */
export interface TenantDoor {
  /** Sees the rows of organization `orgId` only, and can write no other. */
  inTenant<T>(orgId: string, work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Sees what a user sees of themself before they have chosen an organization. */
  asUser<T>(userId: string, work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** Sees no tenant's rows: for the look-ups of lookups.ts, and `instances`. */
  beforeTenant<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
}

/**
 * Runs `work` in organization `orgId`, within a transaction of organization `ownId`, where it is again afterwards: for what must
 * happen in both or in neither. What `work` throws must end the transaction.
 */
export async function inOtherTenant<T>(
  tx: Transaction,
  orgId: string,
  ownId: string,
  work: () => Promise<T>,
): Promise<T> {
  if (orgId === ownId) return work();
  await tx.execute(sql`SELECT set_config('app.current_org_id', ${idOrEmpty(orgId)}, true)`);
  const result = await work();
  await tx.execute(sql`SELECT set_config('app.current_org_id', ${idOrEmpty(ownId)}, true)`);
  return result;
}

const MAX_TRIES = 4;

export function openTenantDoor(database: Database): TenantDoor {
  const run = <T>(settings: Settings, work: (tx: Transaction) => Promise<T>): Promise<T> =>
    retrying(() =>
      database.withConnection((connection) => (settings.oneRead ? askOnce : transact)(connection, settings, work)),
    );
  return {
    inTenant: (orgId, work, options = {}) => run({ orgId, ...options }, work),
    asUser: (userId, work) => run({ userId }, work),
    beforeTenant: (work) => run({}, work),
  };
}

interface Settings extends TransactionOptions {
  readonly orgId?: string;
}

async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (thrown) {
      const error = toDatabaseError(thrown);
      if (!lostAgainstAnother(error) || tries === MAX_TRIES) throw error;
      // Apart, so that the same two do not meet again.
      await sleep(Math.random() * 10 * 2 ** tries);
    }
  }
}

async function transact<T>(
  connection: Connection,
  settings: Settings,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  try {
    await connection.run(opening(settings));
    const result = await work(drizzle({ client: connection.client }));
    const { command } = await connection.run('COMMIT');
    // A call-back that swallows a query's error would otherwise look as if it had been committed.
    if (command !== 'COMMIT')
      throw new BvraiError('internal', 'A transaction was rolled back by an error that was swallowed in it.');
    return result;
  } catch (thrown) {
    // A session that is gone, or still busy, is thrown away by the pool and rolls back by itself.
    if (!endsSession(thrown)) await connection.run('ROLLBACK');
    throw thrown;
  }
}

/**
 * Nothing that the database says is believed before all three have succeeded. Whatever fails first makes the rest fail as well: the
 * query of a transaction that did not begin is refused, and the commit of one that failed rolls back.
 */
async function askOnce<T>(
  connection: Connection,
  settings: Settings,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  const begun = connection.run(opening(settings));
  // As with the embedded database: drizzle calls nothing else.
  const client = connection.client as unknown as { query(config: unknown, values: unknown): unknown };
  let committed: Promise<PromiseSettledResult<unknown>[]> | undefined;
  const query = (config: unknown, values: unknown): unknown => {
    // Behind the commit it would have no tenant.
    if (committed) throw new BvraiError('internal', 'A transaction of one read (oneRead) asks a second query.');
    const answer = client.query(config, values);
    committed = Promise.allSettled([connection.run('COMMIT')]);
    return answer;
  };
  // drizzle's queries run with each `then`: this is the only one.
  const working = (async () => work(drizzle({ client: { query } as unknown as NodePgClient })))();
  const outcomes: PromiseSettledResult<unknown>[] = await Promise.allSettled([begun, working]);
  outcomes.push(...(await (committed ?? Promise.allSettled([connection.run('ROLLBACK')]))));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  return working;
}

/** One round trip. The settings end with the transaction, so the next borrower of the session does not inherit them. */
function opening({ orgId = '', userId = '', isolation = 'read committed', oneRead = false }: Settings): string {
  return (
    `BEGIN ISOLATION LEVEL ${isolation.toUpperCase()}${oneRead ? ' READ ONLY' : ''}; SET LOCAL ROLE bvrai_app; ` +
    `SELECT set_config('app.current_org_id', '${idOrEmpty(orgId)}', true), ` +
    `set_config('app.current_user_id', '${idOrEmpty(userId)}', true)`
  );
}

/** The ids go into the text of the statement, so nothing but an id gets there. */
function idOrEmpty(id: string): string {
  if (id === '' || isId(id)) return id;
  throw new BvraiError('internal', 'The id of a tenant or user is not a UUID.');
}
