/** Accounts and sessions as JSON. */
import { z } from 'zod';
import { ROLES } from './access.ts';

export const emailSchema = z
  .string()
  .trim()
  .toLowerCase()
  .pipe(z.email().max(254))
  .describe('Upper and lower case are the same.')
  .meta({ examples: ['ada@example.com'] });

/** Long rather than odd (NIST SP 800-63B); the bound keeps a hash from costing more than it should. */
const newPasswordSchema = z
  .string()
  .min(10)
  .max(200)
  .describe('At least 10 characters.')
  .meta({ examples: ['correct horse battery staple'] });

const personNameSchema = z
  .string()
  .trim()
  .min(1)
  .max(200)
  .meta({ examples: ['Ada Lovelace'] });
export const organizationNameSchema = z
  .string()
  .trim()
  .min(1)
  .max(200)
  .meta({ examples: ['Harbour View'] });

const cookies = z
  .boolean()
  .default(false)
  .describe('Also set the tokens as httpOnly cookies, for pages of this server and of CORS_ORIGINS.');

const organizationId = z
  .uuid()
  .optional()
  .describe('Which of your organizations; default: the one that you joined first (with refresh: the present one).');

export const registerBody = z.strictObject({
  email: emailSchema,
  password: newPasswordSchema,
  name: personNameSchema,
  organization_name: organizationNameSchema.describe('A new organization, of which you will be the owner.'),
  cookies,
});

export const loginBody = z.strictObject({
  email: emailSchema,
  password: z
    .string()
    .min(1)
    .max(200)
    .meta({ examples: ['correct horse battery staple'] }),
  organization_id: organizationId,
  cookies,
});

export const refreshBody = z.strictObject({
  refresh_token: z.string().min(1).max(200).optional().describe('Default: the one in the cookie.'),
  organization_id: organizationId,
  cookies,
});

export const logoutBody = z.strictObject({
  refresh_token: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('Of the session to end; default: the one in the cookie.'),
});

export const acceptInvitationBody = z.strictObject({
  token: z.string().min(1).max(200).describe('As the invitation gave it out.'),
  password: newPasswordSchema.describe('Of your account; if you have none, it is made with this password.'),
  name: personNameSchema.describe('For a new account.'),
  cookies,
});

export const changePasswordBody = z.strictObject({
  current_password: z
    .string()
    .min(1)
    .max(200)
    .meta({ examples: ['correct horse battery staple'] }),
  new_password: newPasswordSchema,
});

const userSchema = z.object({ id: z.uuid(), email: z.string(), name: z.string() }).meta({ id: 'User' });

const membershipFields = {
  id: z.uuid(),
  name: z.string(),
  role: z.enum(ROLES).describe('Yours in it.'),
};

/** What every kind of log-in answers with. */
export const sessionSchema = z
  .object({
    access_token: z.string().describe('Send as `Authorization: Bearer …`.'),
    token_type: z.literal('Bearer'),
    expires_in: z.int().describe('Seconds until the access token ends.'),
    refresh_token: z.string().describe('Exchanges once for a new session at /api/v1/auth/refresh.'),
    user: userSchema,
    organization: z.object(membershipFields),
  })
  .meta({ id: 'Session' });

export const meSchema = z
  .object({
    user: userSchema,
    organization: z.object(membershipFields),
    organizations: z.array(z.object(membershipFields)).describe('All that you belong to.'),
  })
  .meta({ id: 'Me' });
