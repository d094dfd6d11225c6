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
export function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Compares hashes in constant time. */
export function isSameHash(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && timingSafeEqual(a, b);
}

const API_KEY = /^bv_live_([0-9a-f]{32})_([\w-]{43})$/u;

/** `bv_live_<id>_<secret>`: the id finds the row, the secret proves the right to it. */
export function formatApiKey(id: string, secret: string): string {
  return `bv_live_${id.replaceAll('-', '')}_${secret}`;
}

/** The id as a UUID, and the secret; undefined if it does not look like a key at all. */
export function parseApiKey(key: string): { readonly id: string; readonly secret: string } | undefined {
  const [, hex, secret] = API_KEY.exec(key) ?? [];
  if (hex === undefined || secret === undefined) return undefined;
  return { id: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, '$1-$2-$3-$4-$5'), secret };
}
