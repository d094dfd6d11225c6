/** Accounts and sessions over HTTP. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import type { TenantDoor } from '../db/tenant.ts';
import type { ApiApp } from '../http/api-app.ts';
import { read } from '../http/api-app.ts';
import type { Invitations } from '../invitations/store.ts';
import { ACCESS_TOKEN_S } from './access-tokens.ts';
import type { AccessTokens } from './access-tokens.ts';
import { findOwnUser, listOwnOrganizations } from './accounts.ts';
import { REFRESH_COOKIE, clearSessionCookies, readCookie, setSessionCookies } from './cookies.ts';
import { principalOf } from './guard.ts';
import type { LoginThrottle } from './login-throttle.ts';
import { checkOrigin } from './origin.ts';
import { requireOpenRegistration } from './registration.ts';
import type { Registration } from './registration.ts';
import {
  acceptInvitationBody,
  loginBody,
  logoutBody,
  meSchema,
  refreshBody,
  registerBody,
  sessionSchema,
} from './schema.ts';
import { REFRESH_TOKEN_S } from './sessions.ts';
import type { ClientFacts, Session, Sessions } from './sessions.ts';

export interface AuthDependencies {
  readonly door: TenantDoor;
  readonly sessions: Sessions;
  readonly invitations: Invitations;
  readonly accessTokens: AccessTokens;
  readonly throttle: LoginThrottle;
  readonly isTrustedOrigin: (origin: string, request: FastifyRequest) => boolean;
  readonly registration: Registration;
}

const PREFIX = '/api/v1/auth';

export function authRoutes(app: ApiApp, deps: AuthDependencies): void {
  const { sessions, throttle } = deps;
  const tags = ['auth'];
  const config = { access: 'public', limit: 'auth' } as const;

  app.post(
    `${PREFIX}/register`,
    {
      config,
      schema: {
        operationId: 'register',
        tags,
        summary: 'Make an account and an organization, and log in',
        body: registerBody,
        response: { 201: sessionSchema },
      },
    },
    async (request, reply) => {
      requireOpenRegistration(deps.registration);
      const { organization_name: organizationName, cookies, ...account } = request.body;
      throttle.begin(account.email, request.ip);
      const session = await sessions.register({ ...account, organizationName }, clientOf(request));
      reply.status(201);
      return answer(reply, session, cookies);
    },
  );

  app.post(
    `${PREFIX}/login`,
    {
      config,
      schema: { operationId: 'login', tags, summary: 'Log in', body: loginBody, response: { 200: sessionSchema } },
    },
    async (request, reply) => {
      const { email, password, organization_id: organizationId, cookies } = request.body;
      throttle.begin(email, request.ip);
      const session = await sessions.login({ email, password, organizationId }, clientOf(request));
      throttle.succeeded(email, request.ip);
      return answer(reply, session, cookies);
    },
  );

  app.post(
    `${PREFIX}/accept-invitation`,
    {
      config,
      schema: {
        operationId: 'acceptInvitation',
        tags,
        summary: 'Join an organization, and log in',
        description:
          'With an account of the invited address, `password` is the account’s; without, one is made with it.',
        body: acceptInvitationBody,
        response: { 200: sessionSchema },
      },
    },
    async (request, reply) => {
      const { token, password, name, cookies } = request.body;
      // Whoever invites an address gets as many tokens for it as they like: its tries count together, and as log-ins.
      const onAddress = (email: string): void => throttle.begin(email, request.ip);
      const session = await deps.invitations.accept({ token, password, name, onAddress }, clientOf(request));
      throttle.succeeded(session.user.email, request.ip);
      return answer(reply, session, cookies);
    },
  );

  sessionRoutes(app, deps);
}

/** Staying logged in, logging out, and who one is. */
function sessionRoutes(app: ApiApp, { door, sessions, accessTokens, isTrustedOrigin }: AuthDependencies): void {
  const tags = ['auth'];
  const config = { access: 'public', limit: 'auth' } as const;

  /** Of the body, else of the cookie, if a page of ours sends it. */
  const refreshTokenOf = (request: FastifyRequest, given: string | undefined): string | undefined => {
    const cookie = readCookie(request, REFRESH_COOKIE);
    if (given !== undefined || cookie === undefined) return given;
    checkOrigin(request, isTrustedOrigin);
    return cookie;
  };

  app.post(
    `${PREFIX}/refresh`,
    {
      config,
      schema: {
        operationId: 'refreshSession',
        tags,
        summary: 'Exchange a refresh token for a new session',
        description:
          'The refresh token is used up; used again, it ends the session for everybody who has a part of it. With ' +
          '`organization_id` the session goes on in another organization of yours.',
        body: refreshBody,
        response: { 200: sessionSchema },
      },
    },
    async (request, reply) => {
      const { refresh_token: given, organization_id: organizationId, cookies } = request.body;
      const token = refreshTokenOf(request, given);
      if (token === undefined)
        throw new BvraiError('unauthenticated', 'Send refresh_token, or the cookie of a session.');
      const session = await sessions.refresh(token, organizationId, clientOf(request));
      return answer(reply, session, cookies || given === undefined);
    },
  );

  app.post(
    `${PREFIX}/logout`,
    {
      config,
      schema: {
        operationId: 'logout',
        tags,
        summary: 'End a session',
        description:
          'The one of the refresh token, of the cookies, or of the bearer access token. It ends at once on this server, within a ' +
          'second on every other, in all organizations that it has been in.',
        body: logoutBody,
        response: { 204: z.undefined().describe('It has ended.') },
      },
    },
    async (request, reply) => {
      const refreshToken = refreshTokenOf(request, request.body.refresh_token);
      if (refreshToken !== undefined) await sessions.endByRefreshToken(refreshToken);
      const bearer = /^Bearer +(\S+)$/iu.exec(request.headers.authorization ?? '')?.[1];
      const claims = bearer === undefined ? undefined : await accessTokens.verify(bearer);
      if (claims) await sessions.end(claims.organizationId, claims.userId, claims.sessionId);
      clearSessionCookies(reply);
      reply.status(204);
    },
  );

  meRoute(app, door);
}

function meRoute(app: ApiApp, door: TenantDoor): void {
  app.get(
    `${PREFIX}/me`,
    {
      config: { access: { role: 'viewer', scope: null } },
      schema: { operationId: 'getMe', tags: ['auth'], summary: 'Who is logged in', response: { 200: meSchema } },
    },
    async (request) => {
      const principal = principalOf(request);
      if (principal.kind !== 'user') throw new BvraiError('forbidden', 'An API key is no person.');
      const [user, organizations] = await read(
        { door },
        request,
        async (tx) =>
          [await findOwnUser(tx, principal.userId), await listOwnOrganizations(tx, principal.userId)] as const,
      );
      const organization = organizations.find(({ id }) => id === principal.organizationId);
      if (!user || !organization) throw new BvraiError('unauthenticated', 'This account is gone.');
      return { user, organization, organizations };
    },
  );
}

function clientOf(request: FastifyRequest): ClientFacts {
  return { requestId: request.id, userAgent: request.headers['user-agent'] };
}

function answer(reply: FastifyReply, session: Session, cookies: boolean): z.infer<typeof sessionSchema> {
  const { accessToken, refreshToken, user, organization } = session;
  if (cookies) setSessionCookies(reply, { accessToken, refreshToken, refreshTokenS: REFRESH_TOKEN_S });
  reply.header('cache-control', 'no-store');
  return {
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: ACCESS_TOKEN_S,
    refresh_token: refreshToken,
    user,
    organization,
  };
}
