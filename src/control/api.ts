/** The API under /api/v1: who may enter, how often, and the resources. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Clock } from '../core/clock.ts';
import { BvraiError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { agentRoutes } from './agents/routes.ts';
import { agentVersionRoutes } from './agents/version-routes.ts';
import { apiKeyRoutes } from './api-keys/routes.ts';
import { auditLogRoutes } from './audit-log/routes.ts';
import { AccessTokens } from './auth/access-tokens.ts';
import { Authenticator } from './auth/authenticator.ts';
import { clientOf, installGuard } from './auth/guard.ts';
import { LoginThrottle } from './auth/login-throttle.ts';
import type { LoginQuotas } from './auth/login-throttle.ts';
import { trustOrigins } from './auth/origin.ts';
import { passwordRoute } from './auth/password-route.ts';
import { Passwords } from './auth/passwords.ts';
import type { Registration } from './auth/registration.ts';
import { authRoutes } from './auth/routes.ts';
import { Sessions } from './auth/sessions.ts';
import { callActionRoutes } from './calls/action-routes.ts';
import type { CallActionDependencies } from './calls/action-routes.ts';
import { newCallRoute } from './calls/new-call-route.ts';
import type { NewCallDependencies } from './calls/new-call-route.ts';
import { callEventRoutes } from './calls/event-routes.ts';
import type { EventStreamTimes } from './calls/event-stream.ts';
import type { EventFeed } from './calls/feed.ts';
import { callRoutes } from './calls/routes.ts';
import { conversationRoutes } from './conversations/routes.ts';
import type { Database } from './db/database.ts';
import { openTenantDoor } from './db/tenant.ts';
import type { ResourceDependencies } from './http/api-app.ts';
import { findUnstorable } from './http/field-faults.ts';
import { createMutate } from './http/mutation.ts';
import { fieldProblem } from './http/problem.ts';
import { DEFAULT_QUOTAS, installRateLimits } from './http/rate-limit.ts';
import type { Quotas } from './http/rate-limit.ts';
import { invitationRoutes } from './invitations/routes.ts';
import { Invitations } from './invitations/store.ts';
import { memberRoutes } from './members/routes.ts';
import { organizationRoutes } from './organizations/routes.ts';
import { phoneNumberRoutes } from './phone-numbers/routes.ts';
import type { PhoneNumberDependencies } from './phone-numbers/routes.ts';
import { voiceConfigurationRoutes } from './voice-configurations/routes.ts';

export interface ApiDependencies {
  /** Open and migrated; it is not closed here. */
  readonly database: Database;
  /** At least 32 characters; the same on all servers that share the database (auth/secrets.ts). */
  readonly authSecret: string;
  readonly clock: Clock;
  readonly calls: NewCallDependencies & CallActionDependencies & { readonly feed: EventFeed };
  readonly phoneNumbers: PhoneNumberDependencies;
  readonly eventStreams?: EventStreamTimes;
  readonly publicUrl?: string | undefined;
  /** Default `open`. */
  readonly registration?: Registration;
  readonly corsOrigins?: readonly string[];
  readonly quotas?: Quotas;
  readonly loginQuotas?: LoginQuotas;
  /** The wall clock, for what outlives the process. */
  readonly now?: () => Date;
}

/** Declares all of it in a scope of its own; whoever closes `app` ends what it holds. */
export async function installApi(app: FastifyInstance, deps: ApiDependencies): Promise<void> {
  await app.register(async (scope) => {
    const { database, authSecret, clock } = deps;
    const log: Log = scope.log;
    const now = deps.now ?? (() => new Date());
    const door = openTenantDoor(database);
    const accessTokens = new AccessTokens(authSecret, now);
    const authenticator = new Authenticator({ database, door, accessTokens, clock, log, now });
    scope.addHook('onClose', () => authenticator.close());
    const passwords = new Passwords({ clock });
    await passwords.prepare();
    const applyAuthChange = authenticator.apply.bind(authenticator);
    const sessions = new Sessions({ door, passwords, accessTokens, applyAuthChange, log, now });
    const invitations = new Invitations({ door, passwords, sessions, now });
    const isTrustedOrigin = trustOrigins(deps.publicUrl, deps.corsOrigins ?? []);

    installGuard(scope, { authenticator, clock, isTrustedOrigin });
    installRateLimits(scope, { quotas: deps.quotas ?? DEFAULT_QUOTAS, clock, clientOf });
    refuseUnstorable(scope);

    const api = scope.withTypeProvider<ZodTypeProvider>();
    const throttle = new LoginThrottle(clock, deps.loginQuotas);
    const { registration = 'open' } = deps;
    authRoutes(api, { door, sessions, invitations, accessTokens, throttle, isTrustedOrigin, registration });
    const resources: ResourceDependencies = { door, mutate: createMutate({ door, authSecret, applyAuthChange }) };
    passwordRoute(api, { ...resources, sessions, passwords, throttle });
    organizationRoutes(api, { ...resources, registration });
    for (const declare of RESOURCES) declare(api, resources);
    phoneNumberRoutes(api, { ...resources, ...deps.phoneNumbers });
    newCallRoute(api, { ...resources, ...deps.calls });
    callActionRoutes(api, { ...resources, ...deps.calls });
    callEventRoutes(api, { ...resources, feed: deps.calls.feed, eventStreams: deps.eventStreams });
  });
}

const RESOURCES = [
  memberRoutes,
  invitationRoutes,
  apiKeyRoutes,
  agentRoutes,
  agentVersionRoutes,
  voiceConfigurationRoutes,
  callRoutes,
  conversationRoutes,
  auditLogRoutes,
];

/** No text may hold what Postgres cannot: it would be refused there, in the middle of a transaction. */
function refuseUnstorable(app: FastifyInstance): void {
  app.addHook('preValidation', async (request) => {
    const fault = findUnstorable(request.body, 'body') ?? findUnstorable(request.query, 'query');
    if (fault) throw fieldProblem('invalid-fields', `${fault.in} ${fault.pointer}: ${fault.detail}`, [fault]);
    // No id has one, so there is nothing by this name.
    if (findUnstorable(request.params, 'path')) throw new BvraiError('not-found', 'There is nothing by this name.');
  });
}
