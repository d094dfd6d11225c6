/** The session in cookies, for pages: out of the reach of scripts, and never sent from another site. */
import type {} from '@fastify/cookie';
import type { FastifyReply } from 'fastify';
import { ACCESS_TOKEN_S } from './access-tokens.ts';

/** `__Host-`: the browser takes it from this very host only, over TLS (or on localhost), for all paths. */
export const ACCESS_COOKIE = '__Host-bvrai_access';
export const REFRESH_COOKIE = '__Host-bvrai_refresh';

const ATTRIBUTES = { path: '/', httpOnly: true, secure: true, sameSite: 'strict' } as const;

export function setSessionCookies(
  reply: FastifyReply,
  tokens: { readonly accessToken: string; readonly refreshToken: string; readonly refreshTokenS: number },
): void {
  reply.setCookie(ACCESS_COOKIE, tokens.accessToken, { ...ATTRIBUTES, maxAge: ACCESS_TOKEN_S });
  reply.setCookie(REFRESH_COOKIE, tokens.refreshToken, { ...ATTRIBUTES, maxAge: tokens.refreshTokenS });
}

export function clearSessionCookies(reply: FastifyReply): void {
  reply.clearCookie(ACCESS_COOKIE, ATTRIBUTES);
  reply.clearCookie(REFRESH_COOKIE, ATTRIBUTES);
}
