/** A tenant with at least one row in every table. */
import { newId } from '../../src/control/db/ids.ts';
import * as schema from '../../src/control/db/schema.ts';
import type { TenantDoor } from '../../src/control/db/tenant.ts';

export interface FilledTenant {
  readonly orgId: string;
  readonly userId: string;
  readonly agentId: string;
  readonly callId: string;
  readonly callSid: string;
  readonly conversationId: string;
}

/** An organization with its owner and an agent whose first version is published. */
export async function foundTenant(
  door: TenantDoor,
  name: string,
): Promise<{ orgId: string; userId: string; agentId: string }> {
  const [orgId, userId, agentId] = [newId(), newId(), newId()];
  await door.inTenant(
    orgId,
    async (tx) => {
      await tx.insert(schema.organizations).values({ id: orgId, name });
      await tx.insert(schema.users).values({ id: userId, email: `${name}@example.com`, name, passwordHash: 'hash' });
      await tx.insert(schema.memberships).values({ orgId, userId, role: 'owner' });
      await tx.insert(schema.agents).values({ id: agentId, orgId, name, publishedVersion: 1 });
      await tx.insert(schema.agentVersions).values({ orgId, agentId, version: 1, config: {}, createdBy: userId });
    },
    { userId },
  );
  return { orgId, userId, agentId };
}

export async function fillTenant(door: TenantDoor, name: string): Promise<FilledTenant> {
  const { orgId, userId, agentId } = await foundTenant(door, name);
  const [callId, conversationId, keyId] = [newId(), newId(), newId()];
  const callSid = `CA${callId.replaceAll('-', '')}`;
  const expiresAt = new Date(Date.now() + 3_600_000);
  await door.inTenant(orgId, async (tx) => {
    await tx.insert(schema.refreshTokens).values({ orgId, userId, familyId: newId(), tokenHash: newId(), expiresAt });
    await tx.insert(schema.apiKeys).values({ id: keyId, orgId, keyId, secretHash: 'hash', name, createdBy: userId });
    await tx.insert(schema.voiceConfigurations).values({ orgId, name, provider: 'deepgram' });
    await tx.insert(schema.phoneNumbers).values({ orgId, number: '+15550100', agentId });
    await tx.insert(schema.calls).values({
      id: callId,
      orgId,
      twilioCallSid: callSid,
      direction: 'inbound',
      agentId,
      agentVersion: 1,
      metadata: { of: name },
      search: name,
    });
    await tx.insert(schema.conversations).values({ id: conversationId, orgId, callId });
    const message = { orgId, conversationId, seq: 1, role: 'caller', text: name, heardText: name, atMs: 1 } as const;
    await tx.insert(schema.messages).values(message);
    await tx.insert(schema.turns).values({ orgId, callId, seq: 2, turn: 1, atMs: 2, stages: {} });
    await tx.insert(schema.callEvents).values({ orgId, callId, seq: 0, type: 'call-started', atMs: 0 });
    const used = { instanceId: newId(), stream: 1, seq: 0, final: true, usage: { stt: [], llm: [], tts: [] } };
    await tx.insert(schema.callUsage).values({ orgId, callId, ...used });
    await tx
      .insert(schema.idempotencyKeys)
      .values({ orgId, key: name, route: 'POST /', requestHash: 'hash', expiresAt });
    await tx
      .insert(schema.invitations)
      .values({ orgId, email: `invited-${name}@example.com`, role: 'member', tokenHash: newId(), expiresAt });
    await tx.insert(schema.auditLog).values({
      orgId,
      actorType: 'api_key',
      actorUserId: userId,
      actorApiKeyId: keyId,
      action: 'call.create',
      resourceType: 'call',
      resourceId: callId,
    });
  });
  return { orgId, userId, agentId, callId, callSid, conversationId };
}
