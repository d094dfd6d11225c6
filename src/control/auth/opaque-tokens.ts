/** Tokens that mean nothing by themselves: random, handed out once, kept as hashes. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** 256 bits. */
const SECRET_BYTES = 32;

export function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/**
 * SHA-256, and not a slow hash: argon2 makes guessing a human's password expensive, but 256 random bits cannot be guessed at any
 * speed, and every request with a key would pay for the slowness.
 */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}

/** Compares two hashes in constant time. */
export function isSameSecretHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}

const API_KEY = /^bv_live_([0-9a-f]{20})_([\w-]{43})$/u;
const KEY_ID_BYTES = 10;

/** A new key: `key` is for its owner only, `keyId` and the hash of the secret are kept. */
export function newApiKey(): { readonly key: string; readonly keyId: string; readonly secretHash: string } {
  const keyId = randomBytes(KEY_ID_BYTES).toString('hex');
  const secret = newSecret();
  return { key: `bv_live_${keyId}_${secret}`, keyId, secretHash: hashSecret(secret) };
}

/** The id that finds the row, and the secret that proves the right to it; undefined if it does not look like a key at all. */
export function parseApiKey(key: string): { readonly keyId: string; readonly secret: string } | undefined {
  const [, keyId, secret] = API_KEY.exec(key) ?? [];
  return keyId === undefined || secret === undefined ? undefined : { keyId, secret };
}
