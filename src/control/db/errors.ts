/** What a database driver throws, as errors of the project. */
import { DrizzleQueryError } from 'drizzle-orm';
import { BvraiError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';

/** The fields of a Postgres error that both drivers give. */
interface PostgresFault {
  readonly code: string;
  readonly message: string;
  readonly constraint: string | undefined;
  readonly table: string | undefined;
}

/** SQLSTATEs (Postgres manual, appendix A) whose class does not say enough. */
const BY_STATE: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['23505', 'conflict'],
  ['40001', 'conflict'],
  ['40P01', 'conflict'],
  ['23503', 'reference-missing'],
  ['57014', 'db.timeout'],
  ['55P03', 'db.timeout'],
  ['25P03', 'db.timeout'],
]);

/**
 * Rows that a query itself makes collide; values; constraints; values beyond a limit. Every other class says that the database, or who asks it,
 * is not as it should be: a password that was changed, a table whose migration is under way, a damaged page. That passes, or somebody
 * mends it; what was asked is as good as before.
 */
const BY_CLASS: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['21', 'internal'],
  ['22', 'invalid-value'],
  ['23', 'invalid-value'],
  ['54', 'invalid-value'],
]);

/** Of those the ones that any query would have met, with which a session ends or does not even begin; 25006: it went to a standby. */
const OUTAGE = /^(08|28|3D|53|57|58|25006)/u;

/** Of Node's sockets, name look-ups and TLS. */
const NETWORK =
  /^(E(CONN\w+|PIPE|PROTO|NOENT|AI_\w+|NOTFOUND|TIMEDOUT|HOST\w+|NET\w+|ADDRNOTAVAIL|ACCES)|ERR_(SSL|TLS|SOCKET)_\w+|\w*CERT\w*|UNABLE_TO_\w+)$/u;

const MEANING: Partial<Record<ErrorCode, string>> = {
  conflict: 'The database refused a change that contradicts another one',
  'reference-missing': 'The database refused a reference to something that does not exist, or is still referred to',
  'invalid-value': 'The database refused a value',
  'db.timeout': 'The database did not answer in time',
  'db.unavailable': 'The database cannot be reached',
};

/**
 * Normalises what a query threw. `details.constraint` and `details.table` name what was violated, `details.sqlState` is
 * Postgres's own code. Drizzle's wrapper is dropped: its message holds the parameters, which may be secrets or transcripts. So may what
 * Postgres says beside its message ("Failing row contains …").
 */
export function toDatabaseError(thrown: unknown): BvraiError {
  const cause = thrown instanceof DrizzleQueryError ? thrown.cause : thrown;
  if (cause instanceof BvraiError) return cause;
  const fault = postgresFault(cause);
  if (fault) {
    const code = BY_STATE.get(fault.code) ?? BY_CLASS.get(fault.code.slice(0, 2)) ?? 'db.unavailable';
    const where = fault.constraint ?? fault.table;
    const isUnable = code === 'db.unavailable' && !OUTAGE.test(fault.code);
    const meaning = isUnable ? 'The database cannot do now what a query asks' : (MEANING[code] ?? 'A query is wrong');
    return new BvraiError(code, `${meaning}${where === undefined ? '' : ` (${where})`}.`, {
      cause: withoutValues(cause, fault),
      details: { sqlState: fault.code, constraint: fault.constraint, table: fault.table },
    });
  }
  if (!(cause instanceof Error)) return BvraiError.from(cause);
  const network = 'code' in cause && typeof cause.code === 'string' && NETWORK.test(cause.code);
  // The pool and the client of `pg` say these in words only.
  if (
    network ||
    /connection (terminated|timeout|ended)|not queryable|cannot use a pool after|client was closed/iu.test(
      cause.message,
    )
  ) {
    return new BvraiError('db.unavailable', `${MEANING['db.unavailable']}: ${cause.message}.`, { cause });
  }
  if (/query read timeout|timeout exceeded when trying to connect/iu.test(cause.message)) {
    const code = cause.message.startsWith('Query') ? 'db.timeout' : 'db.unavailable';
    return new BvraiError(code, `${MEANING[code]}: ${cause.message}.`, { cause });
  }
  return BvraiError.from(cause);
}

/** Whether the same transaction, run again, may well succeed: it lost against a concurrent one. */
export function lostAgainstAnother(error: BvraiError): boolean {
  return error.details['sqlState'] === '40001' || error.details['sqlState'] === '40P01';
}

/** Whether the rows themselves are at fault, so that writing them again would fail again. */
export function isAboutData({ code, details }: BvraiError): boolean {
  const { sqlState } = details;
  return typeof sqlState === 'string' ? BY_CLASS.has(sqlState.slice(0, 2)) : code === 'invalid-value';
}

/** Whether any other query would have failed as well: the database cannot be reached, or not in time. */
export function isOutage({ code, details }: BvraiError): boolean {
  const { sqlState } = details;
  return (
    code === 'db.timeout' || (code === 'db.unavailable' && (typeof sqlState !== 'string' || OUTAGE.test(sqlState)))
  );
}

/** Whether the session must not be used again: it is gone, or its answer is still to come. */
export function endsSession(thrown: unknown): boolean {
  const error = toDatabaseError(thrown);
  return isOutage(error) && (error.code === 'db.unavailable' || error.details['sqlState'] === undefined);
}

/** What Postgres said, for the log, without the fields that quote rows; messages about data quote the data (class 22). */
function withoutValues(thrown: unknown, { code, message }: PostgresFault): Error {
  const safe = new Error(code.startsWith('22') ? 'Postgres cannot read a value.' : message);
  safe.name = 'DatabaseError';
  const routine: unknown = thrown instanceof Error ? Reflect.get(thrown, 'routine') : undefined;
  return Object.assign(safe, { code, ...(typeof routine === 'string' ? { routine } : {}) });
}

function postgresFault(thrown: unknown): PostgresFault | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown) || !('severity' in thrown)) return undefined;
  const { code } = thrown;
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/u.test(code)) return undefined;
  const text = (name: 'constraint' | 'table'): string | undefined => {
    const value: unknown = Reflect.get(thrown, name);
    return typeof value === 'string' ? value : undefined;
  };
  return { code, message: thrown.message, constraint: text('constraint'), table: text('table') };
}
