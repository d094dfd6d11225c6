/** Who may do what: roles of people, scopes of API keys, and the one declaration that every route of the API makes. */

/** In ascending order: each may do what the ones before it may. */
export const ROLES = ['viewer', 'member', 'admin', 'owner'] as const;
export type Role = (typeof ROLES)[number];

/** What an API key can be allowed; `…:write` includes `…:read`. */
export const SCOPES = [
  'organization:read',
  'members:read',
  'agents:read',
  'agents:write',
  'voice-configurations:read',
  'voice-configurations:write',
  'phone-numbers:read',
  'phone-numbers:write',
  'calls:read',
  'calls:write',
  'audit-log:read',
] as const;
export type Scope = (typeof SCOPES)[number];

/**
 * What a route asks of its caller, as `config.access`: nothing (`public`), or a person of at least this role or an API key
 * with this scope. `scope: null`: no API key may, whatever its scopes.
 */
export type Access = 'public' | { readonly role: Role; readonly scope: Scope | null };

/** Who is calling, once that is proven. Both belong to exactly one organization. */
export type Principal =
  | {
      readonly kind: 'user';
      readonly userId: string;
      readonly organizationId: string;
      readonly role: Role;
      /** The family of refresh tokens that began with the log-in. */
      readonly sessionId: string;
    }
  | {
      readonly kind: 'api-key';
      readonly apiKeyId: string;
      readonly organizationId: string;
      readonly scopes: readonly string[];
    };

/** What tells a principal from every other, as text: for counting, for logs, for what is kept for them alone. */
export function nameOf(principal: Principal): string {
  return principal.kind === 'user' ? `user ${principal.userId}` : `key ${principal.apiKeyId}`;
}

/** Whether a role is at least another. */
export function isAtLeast(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

/** Why a caller may not use a route; undefined: it may. */
export function accessFault(principal: Principal, { role, scope }: Exclude<Access, 'public'>): string | undefined {
  if (principal.kind === 'user') {
    return isAtLeast(principal.role, role) ? undefined : `This needs the role ${role}; yours is ${principal.role}.`;
  }
  if (scope === null) return 'No API key can do this: log in as a person.';
  const granted = principal.scopes.includes(scope) || principal.scopes.includes(scope.replace(/:read$/u, ':write'));
  return granted ? undefined : `This API key lacks the scope ${scope}.`;
}
