/** One-time tokens that tie a media socket to the call whose webhook was signed (docs/twilio-wire.md, "Signatures"). */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';

/** What a token stands for. */
export interface StreamClaims {
  readonly callSid: string;
  readonly agentId: string;
}

/** `replayed`: it was good and has been used; `wrong-call`: it was minted for another call and stays unused. */
export type RedeemFailure = 'unknown' | 'expired' | 'replayed' | 'wrong-call';

export type RedeemResult<Claims> =
  | { readonly ok: true; readonly claims: Claims }
  | { readonly ok: false; readonly reason: RedeemFailure };

export interface StreamTokensOptions {
  readonly clock: Clock;
  readonly ttlMs?: number | undefined;
  /** Tokens remembered, used and expired ones included. */
  readonly capacity?: number | undefined;
}

interface Entry<Claims> {
  readonly claims: Claims;
  readonly expiresAtMs: number;
  used: boolean;
}

const DEFAULT_TTL_MS = 60_000;
const DEFAULT_CAPACITY = 20_000;
const TOKEN_BYTES = 32;
/** A used or expired token is remembered for this many lifetimes, so that the log can tell a replay from a guess. */
const LIFETIMES_REMEMBERED = 5;

/**
 * Mints and redeems in this process's memory. Tokens are looked up by their SHA-256, so that the time of a look-up says nothing
 * about a token that is nearly right, and none is kept in the clear.
 */
export class StreamTokens<Claims extends StreamClaims = StreamClaims> {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #capacity: number;
  /** In order of expiry, which is that of insertion. */
  readonly #entries = new Map<string, Entry<Claims>>();

  constructor(options: StreamTokensOptions) {
    this.#clock = options.clock;
    this.#ttlMs = options.ttlMs ?? DEFAULT_TTL_MS;
    this.#capacity = options.capacity ?? DEFAULT_CAPACITY;
  }

  /** A new token: 256 random bits, URL-safe, 43 characters. Throws a BvraiError `capacity` when too many are outstanding. */
  mint(claims: Claims): string {
    const nowMs = this.#clock.nowMs();
    this.#forget(nowMs);
    if (this.#entries.size >= this.#capacity) {
      throw new BvraiError('capacity', `${this.#entries.size} stream tokens are outstanding; no more are given out.`);
    }
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    this.#entries.set(keyOf(token), { claims, expiresAtMs: nowMs + this.#ttlMs, used: false });
    return token;
  }

  /** Takes a token for the call that presents it; good once. */
  redeem(token: string, callSid: string): RedeemResult<Claims> {
    const nowMs = this.#clock.nowMs();
    const entry = this.#entries.get(keyOf(token));
    if (!entry) return { ok: false, reason: 'unknown' };
    if (entry.used) return { ok: false, reason: 'replayed' };
    if (nowMs >= entry.expiresAtMs) return { ok: false, reason: 'expired' };
    if (!timingSafeEqual(digestOf(callSid), digestOf(entry.claims.callSid))) return { ok: false, reason: 'wrong-call' };
    entry.used = true;
    return { ok: true, claims: entry.claims };
  }

  /** Drops what is long over; when full, also what is merely used or expired. */
  #forget(nowMs: number): void {
    const rememberedMs = (LIFETIMES_REMEMBERED - 1) * this.#ttlMs;
    for (const [key, entry] of this.#entries) {
      if (nowMs < entry.expiresAtMs + rememberedMs) break;
      this.#entries.delete(key);
    }
    if (this.#entries.size < this.#capacity) return;
    for (const [key, entry] of this.#entries) {
      if (entry.used || nowMs >= entry.expiresAtMs) this.#entries.delete(key);
    }
  }
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function keyOf(token: string): string {
  return digestOf(token).toString('base64');
}
