/** Changing one's password, which ends every other session. */
import { eq, ne } from 'drizzle-orm';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import { refreshTokens, users } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { fieldProblem } from '../http/problem.ts';
import type { Principal } from './access.ts';
import { findOwnUser, revokeSessions } from './accounts.ts';
import type { AuthChange } from './changes.ts';
import { principalOf } from './guard.ts';
import type { LoginThrottle } from './login-throttle.ts';
import type { Passwords } from './passwords.ts';
import { changePasswordBody } from './schema.ts';
import type { Sessions } from './sessions.ts';

export interface PasswordDependencies extends ResourceDependencies {
  readonly sessions: Sessions;
  readonly passwords: Passwords;
  readonly throttle: LoginThrottle;
}

type UserPrincipal = Extract<Principal, { kind: 'user' }>;

export function passwordRoute(app: ApiApp, deps: PasswordDependencies): void {
  app.post(
    '/api/v1/auth/password',
    {
      config: { access: { role: 'viewer', scope: null } },
      schema: {
        operationId: 'changePassword',
        tags: ['auth'],
        summary: 'Change your password',
        description: 'Every other session of yours ends at once, in all organizations; this one goes on.',
        body: changePasswordBody,
        response: { 204: z.undefined().describe('It is changed.') },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      if (principal.kind !== 'user') throw new BvraiError('forbidden', 'An API key has no password.');
      const { userId } = principal;
      const user = await read(deps, request, (tx) => findOwnUser(tx, userId));
      if (!user) throw new BvraiError('unauthenticated', 'This account is gone.');
      const { current_password: present, new_password: wanted } = request.body;
      deps.throttle.begin(user.email, request.ip);
      await deps.sessions.checkPassword(user.email, present).catch(blamePassword);
      deps.throttle.succeeded(user.email, request.ip);
      const passwordHash = await deps.passwords.hash(wanted);
      return deps.mutate(request, reply, async (tx) => {
        await tx.update(users).set({ passwordHash }).where(eq(users.id, userId));
        const authChanges = await endOtherSessions(tx, principal);
        const audit = { action: 'user.password_changed', resourceType: 'user', resourceId: userId };
        return { status: 204, body: undefined, audit, authChanges };
      });
    },
  );
}

/** Ends all sessions of a user but the present one, in every organization; `tx` is in the present one. */
async function endOtherSessions(tx: Transaction, principal: UserPrincipal): Promise<AuthChange[]> {
  const ended = await revokeSessions(tx, principal, ne(refreshTokens.familyId, principal.sessionId), new Date());
  return [...ended].map((id) => ({ kind: 'session', session_id: id }));
}

function blamePassword(thrown: unknown): never {
  if (!(thrown instanceof BvraiError) || thrown.code !== 'invalid-credentials') throw thrown;
  const detail = 'is not your password';
  throw fieldProblem('invalid-fields', `body /current_password: ${detail}`, [
    { in: 'body', pointer: '/current_password', detail },
  ]);
}
