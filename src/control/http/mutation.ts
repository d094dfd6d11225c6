/** The one way in which a route changes something: in one transaction with its audit entry and its Idempotency-Key. */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import type { DecipherGCM } from 'node:crypto';
import { and, eq, gt, sql } from 'drizzle-orm';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import { recordAudit } from '../audit-log/store.ts';
import type { AuditEntry } from '../audit-log/store.ts';
import { nameOf } from '../auth/access.ts';
import type { Principal } from '../auth/access.ts';
import { announce } from '../auth/changes.ts';
import type { AuthChange } from '../auth/changes.ts';
import { principalOf } from '../auth/guard.ts';
import { deriveKey } from '../auth/secrets.ts';
import { idempotencyKeys } from '../db/schema.ts';
import type { TenantDoor, Transaction } from '../db/tenant.ts';
import { fieldProblem } from './problem.ts';

/** What became of a request, all of it inside the transaction. */
export interface Outcome<Body> {
  readonly status: 200 | 201 | 204;
  readonly body: Body;
  /** Absent: nothing has changed after all. */
  readonly audit: AuditEntry | undefined;
  /** Whose rights have changed; told to every server with the commit. */
  readonly authChanges?: readonly AuthChange[];
}

export type Work<Body> = (tx: Transaction, principal: Principal) => Promise<Outcome<Body>>;

/** Runs `work` for a request and answers with its outcome. */
export type Mutate = <Body>(request: FastifyRequest, reply: FastifyReply, work: Work<Body>) => Promise<Body>;

const IDEMPOTENCY_TTL_S = 24 * 60 * 60;
const KEY = /^[\x21-\x7e]{1,200}$/u;

/** What a request with an Idempotency-Key is recognised by. */
interface Claim {
  /** Whose it is and what they call it: an answer is replayed without asking whether its reader might have made the change. */
  readonly key: string;
  readonly route: string;
  readonly requestHash: string;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface MutationOptions {
  readonly door: TenantDoor;
  readonly authSecret: string;
  /** Makes a change of rights effective in this process at once. */
  readonly applyAuthChange: (change: AuthChange) => void;
}

/**
 * With an Idempotency-Key the answer is kept in the same transaction as the change, so that it is there exactly when the change is: the
 * same request answers the same for 24 hours, another one with the key gets `idempotency-mismatch`, one that comes while the first is
 * being answered `idempotency-in-flight`. A key is its sender's alone: the same one from another person or API key is another. What
 * fails is not kept, so it can be tried again. Kept answers may hold secrets that are shown once, hence they are encrypted.
 */
export function createMutate({ door, authSecret, applyAuthChange }: MutationOptions): Mutate {
  const box = new SealedBox(deriveKey(authSecret, 'idempotency'));
  return async <Body>(request: FastifyRequest, reply: FastifyReply, work: Work<Body>): Promise<Body> => {
    const principal = principalOf(request);
    const { organizationId } = principal;
    const claim = claimOf(request, principal);
    const result = await door.inTenant(
      organizationId,
      async (tx) => {
        const kept = claim && (await claimKey(tx, organizationId, claim, box));
        if (kept) return { kept };
        const outcome = await work(tx, principal);
        for (const change of outcome.authChanges ?? []) await announce(tx, change);
        if (outcome.audit) await recordAudit(tx, { principal, organizationId, requestId: request.id }, outcome.audit);
        if (claim)
          await keepAnswer(tx, organizationId, claim, box.seal({ status: outcome.status, body: outcome.body }));
        return { outcome };
      },
      principal.kind === 'user' ? { userId: principal.userId } : {},
    );
    if (result.kept) {
      reply.status(result.kept.status).header('idempotency-replayed', 'true');
      // It is what `work` answered to this very request.
      return result.kept.body as Body;
    }
    for (const change of result.outcome.authChanges ?? []) applyAuthChange(change);
    reply.status(result.outcome.status);
    return result.outcome.body;
  };
}

function claimOf(request: FastifyRequest, principal: Principal): Claim | undefined {
  const key = request.headers['idempotency-key'];
  if (request.routeOptions.config.idempotent !== true || key === undefined) return undefined;
  if (typeof key !== 'string' || !KEY.test(key)) {
    const detail = 'must be 1 to 200 printable ASCII characters without spaces';
    throw fieldProblem('invalid-fields', `Idempotency-Key: ${detail}`, [
      { in: 'header', pointer: '/idempotency-key', detail },
    ]);
  }
  const path = request.url.split('?')[0] ?? '';
  // The body after validation: in the schema's order, with its defaults, so that only a real difference counts.
  const requestHash = createHash('sha256')
    .update(JSON.stringify([request.query, request.body ?? null]))
    .digest('base64url');
  return { key: `${nameOf(principal)} ${key}`, route: `${request.method} ${path}`, requestHash };
}

/** The kept answer, if there is one; else the key is this transaction's until its end. */
async function claimKey(tx: Transaction, orgId: string, claim: Claim, box: SealedBox): Promise<Answer | undefined> {
  const lock = await tx.execute(
    sql`SELECT pg_try_advisory_xact_lock(hashtextextended(${`${orgId} ${claim.key}`}, 0)) AS mine`,
  );
  if (lock.rows[0]?.['mine'] !== true) {
    throw new BvraiError(
      'idempotency-in-flight',
      'A request with this Idempotency-Key is being answered; try again in a moment.',
      {
        retryAfterMs: 1_000,
      },
    );
  }
  const [kept] = await tx
    .select()
    .from(idempotencyKeys)
    .where(
      and(
        eq(idempotencyKeys.orgId, orgId),
        eq(idempotencyKeys.key, claim.key),
        gt(idempotencyKeys.expiresAt, sql`now()`),
      ),
    );
  if (!kept) return undefined;
  if (kept.route !== claim.route || kept.requestHash !== claim.requestHash) {
    throw new BvraiError(
      'idempotency-mismatch',
      'This Idempotency-Key came with another request before; use a new one.',
    );
  }
  return box.open(kept.responseBody);
}

async function keepAnswer(tx: Transaction, orgId: string, claim: Claim, sealed: Sealed): Promise<void> {
  const row = {
    route: claim.route,
    requestHash: claim.requestHash,
    responseBody: sealed,
    createdAt: sql`now()`,
    expiresAt: sql`now() + make_interval(secs => ${IDEMPOTENCY_TTL_S})`,
  };
  await tx
    .insert(idempotencyKeys)
    .values({ orgId, key: claim.key, ...row })
    .onConflictDoUpdate({ target: [idempotencyKeys.orgId, idempotencyKeys.key], set: row });
}

const sealedSchema = z.object({ nonce: z.string(), tag: z.string(), sealed: z.string() });
type Sealed = z.infer<typeof sealedSchema>;
const answerSchema = z.object({ status: z.number(), body: z.unknown() });

/** AES-256-GCM around an answer. */
class SealedBox {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  seal(answer: Answer): Sealed {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    const sealed = Buffer.concat([cipher.update(JSON.stringify(answer)), cipher.final()]);
    return {
      nonce: nonce.toString('base64'),
      tag: cipher.getAuthTag().toString('base64'),
      sealed: sealed.toString('base64'),
    };
  }

  /** Throws `conflict` for what was sealed with another key. */
  open(value: unknown): Answer {
    const { nonce, tag, sealed } = sealedSchema.parse(value);
    const decipher = createDecipheriv('aes-256-gcm', this.#key, Buffer.from(nonce, 'base64'));
    decipher.setAuthTag(Buffer.from(tag, 'base64'));
    const { status, body } = answerSchema.parse(JSON.parse(decrypted(decipher, Buffer.from(sealed, 'base64'))));
    return { status, body };
  }
}

function decrypted(decipher: DecipherGCM, sealed: Buffer): string {
  try {
    return Buffer.concat([decipher.update(sealed), decipher.final()]).toString('utf8');
  } catch (thrown) {
    throw new BvraiError(
      'conflict',
      'This Idempotency-Key has been used, and its answer can no longer be read, since AUTH_SECRET has changed: look whether ' +
        'there is what you asked for, and use a new key for anything else.',
      { cause: thrown },
    );
  }
}
