/** The one error class of the project, with stable codes that logs, metrics and API answers rely on. */

/** Stable, dotted codes. Adding one is fine; renaming one breaks those who filter on it. */
export type ErrorCode =
  | 'config.invalid'
  | 'agent.invalid'
  | 'agent.unknown'
  | 'wire.malformed'
  | 'wire.limit'
  | 'wire.unsupported'
  | 'audio.invalid'
  | 'provider.auth'
  | 'provider.no-credit'
  | 'provider.rate-limited'
  | 'provider.overloaded'
  | 'provider.timeout-connect'
  | 'provider.timeout-first'
  | 'provider.timeout-gap'
  | 'provider.protocol'
  | 'provider.bad-request'
  | 'provider.closed'
  | 'provider.unavailable'
  | 'engine.unavailable'
  | 'engine.failed'
  | 'bad-request'
  | 'invalid-fields'
  | 'unauthenticated'
  | 'invalid-credentials'
  | 'forbidden'
  | 'not-found'
  | 'method-not-allowed'
  | 'conflict'
  | 'precondition-failed'
  | 'precondition-required'
  | 'idempotency-mismatch'
  | 'idempotency-in-flight'
  | 'too-large'
  | 'unsupported-media-type'
  | 'rate-limited'
  | 'db.unavailable'
  | 'db.timeout'
  | 'db.locked'
  | 'db.migration'
  | 'reference-missing'
  | 'invalid-value'
  | 'capacity'
  | 'carrier-refused'
  | 'carrier-unavailable'
  | 'aborted'
  | 'internal';

/** Whether trying the same thing again, perhaps elsewhere, can help. Decided once, here; only the router retries. */
const RETRYABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'provider.rate-limited',
  'provider.overloaded',
  'provider.timeout-connect',
  'provider.timeout-first',
  'provider.timeout-gap',
  'provider.protocol',
  'provider.closed',
  'provider.unavailable',
  'engine.failed',
  'db.unavailable',
  'db.timeout',
]);

export interface ErrorOptions {
  /** What went wrong underneath. */
  cause?: unknown;
  /** Facts for the log: where, which provider, which value. Never secrets, never transcripts. */
  details?: Readonly<Record<string, unknown>>;
  /** How long the other side asked us to wait before trying again (HTTP Retry-After). */
  retryAfterMs?: number;
}

/** An error that says what was wrong, where, and what to do. */
export class BvraiError extends Error {
  override readonly name = 'BvraiError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }

  get retryable(): boolean {
    return RETRYABLE.has(this.code);
  }

  /** Normalises anything that was thrown; a BvraiError passes through unchanged. */
  static from(thrown: unknown, code: ErrorCode = 'internal', context?: string): BvraiError {
    if (thrown instanceof BvraiError) return thrown;
    if (thrown instanceof Error && thrown.name === 'AbortError') {
      return new BvraiError('aborted', context ?? 'The operation was aborted.', { cause: thrown });
    }
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return new BvraiError(code, context ? `${context}: ${reason}` : reason, { cause: thrown });
  }
}

/** For the end of a switch over a union: the compiler proves that it is never reached. */
export function unreachable(value: never): never {
  throw new BvraiError('internal', `Unreachable case: ${JSON.stringify(value)}`);
}
