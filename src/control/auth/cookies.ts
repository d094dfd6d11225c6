/** The session in cookies, for pages: out of the reach of scripts, and never sent from another site. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ACCESS_TOKEN_S } from './access-tokens.ts';

/** `__Host-`: the browser takes it from this very host only, over TLS (or on localhost), for all paths. */
export const ACCESS_COOKIE = '__Host-bvrai_access';
export const REFRESH_COOKIE = '__Host-bvrai_refresh';

export function setSessionCookies(
  reply: FastifyReply,
  tokens: { readonly accessToken: string; readonly refreshToken: string; readonly refreshTokenS: number },
): void {
  reply.header('set-cookie', [
    cookieLine(ACCESS_COOKIE, tokens.accessToken, ACCESS_TOKEN_S),
    cookieLine(REFRESH_COOKIE, tokens.refreshToken, tokens.refreshTokenS),
  ]);
}

export function clearSessionCookies(reply: FastifyReply): void {
  reply.header('set-cookie', [cookieLine(ACCESS_COOKIE, '', 0), cookieLine(REFRESH_COOKIE, '', 0)]);
}

/** The value of a cookie that the client sent; undefined: none, or an empty one. */
export function readCookie(request: FastifyRequest, name: string): string | undefined {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const at = pair.indexOf('=');
    if (pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim() || undefined;
  }
  return undefined;
}

/** Our tokens are made of characters that a cookie may hold as they are (RFC 6265, section 4.1.1). */
function cookieLine(name: string, value: string, maxAgeS: number): string {
  return `${name}=${value}; Path=/; Max-Age=${maxAgeS}; HttpOnly; Secure; SameSite=Strict`;
}
