/** Changes of rights, told to every server that shares the database, so that none goes on believing an old answer. */
import { sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Transaction } from '../db/tenant.ts';

/** The channel of LISTEN and NOTIFY. */
export const AUTH_CHANNEL = 'bvrai_auth';

const changeSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('api-key'), key_id: z.string() }),
  z.object({ kind: z.literal('session'), session_id: z.string() }),
  z.object({ kind: z.literal('member'), organization_id: z.string(), user_id: z.string() }),
]);

/** Whose rights have changed: of a key, of all that came from one log-in, or of a member. */
export type AuthChange = z.infer<typeof changeSchema>;

/** Tells all servers, with the commit of `tx`. */
export async function announce(tx: Transaction, change: AuthChange): Promise<void> {
  await tx.execute(sql`SELECT pg_notify(${AUTH_CHANNEL}, ${JSON.stringify(change)})`);
}

/** What was announced; undefined for what this version does not know. */
export function parseAuthChange(payload: string): AuthChange | undefined {
  try {
    return changeSchema.parse(JSON.parse(payload));
  } catch {
    return undefined;
  }
}
