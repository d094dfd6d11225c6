/** The tables as drizzle sees them. `migrations/` is what makes them; a test compares the two, column by column. */
import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  customType,
  doublePrecision,
  foreignKey,
  integer,
  jsonb,
  numeric,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core';
import type { CallUsage } from '../../pipeline/ports.ts';
import { ROLES } from '../auth/access.ts';
import { newId } from './ids.ts';

/** Any JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The states in which a call has not ended. */
export const OPEN_CALL_STATUSES = ['initiated', 'ringing', 'in_progress'] as const;
export const ENDED_CALL_STATUSES = ['completed', 'failed', 'no_answer', 'busy', 'cancelled'] as const;
export const CALL_STATUSES = [...OPEN_CALL_STATUSES, ...ENDED_CALL_STATUSES] as const;
export type CallStatus = (typeof CALL_STATUSES)[number];
export type EndedCallStatus = (typeof ENDED_CALL_STATUSES)[number];
/** How a call ends that a server was asked to end which does not run it. */
const ASKED_ENDS = ['transferred', 'agent-hung-up'] as const;
export type AskedEnd = (typeof ASKED_ENDS)[number];
export const CONVERSATION_STATUSES = ['active', 'completed', 'abandoned'] as const;

const id = () => uuid('id').primaryKey().$defaultFn(newId);
const orgId = () => uuid('org_id').notNull();
/** To the millisecond: all that a JavaScript date, and so a cursor, can carry. */
const time = (name: string) => timestamp(name, { precision: 3, withTimezone: true });
const createdAt = () => time('created_at').notNull().defaultNow();
/** A trigger keeps it. */
const updatedAt = () => time('updated_at').notNull().defaultNow();
const jsonObject = (name: string) =>
  jsonb(name)
    .$type<JsonObject>()
    .notNull()
    .default(sql`'{}'`);
const tsvector = customType<{ data: string }>({ dataType: () => 'tsvector' });

export const organizations = pgTable('organizations', {
  id: id(),
  name: text('name').notNull(),
  status: text('status', { enum: ['active', 'suspended'] })
    .notNull()
    .default('active'),
  /** Read by earlier builds only (migration 0024). */
  settings: jsonObject('settings'),
  metadata: jsonObject('metadata'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
});

/** `passwordHash` can be written but not read: select and return columns by name. To read it is `lookup_login`'s right. */
export const users = pgTable('users', {
  id: id(),
  email: text('email').notNull().unique('users_email_key'),
  name: text('name').notNull(),
  passwordHash: text('password_hash').notNull(),
  status: text('status', { enum: ['active', 'disabled'] })
    .notNull()
    .default('active'),
  lastLoginAt: time('last_login_at'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
});

export const memberships = pgTable(
  'memberships',
  {
    orgId: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    role: text('role', { enum: ROLES }).notNull(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.userId] })],
);

export const refreshTokens = pgTable(
  'refresh_tokens',
  {
    id: id(),
    orgId: orgId(),
    userId: uuid('user_id').notNull(),
    familyId: uuid('family_id').notNull(),
    tokenHash: text('token_hash').notNull().unique('refresh_tokens_token_hash_key'),
    usedAt: time('used_at'),
    revokedAt: time('revoked_at'),
    expiresAt: time('expires_at').notNull(),
    userAgent: text('user_agent'),
    createdAt: createdAt(),
  },
  (table) => [
    foreignKey({
      columns: [table.orgId, table.userId],
      foreignColumns: [memberships.orgId, memberships.userId],
    }).onDelete('cascade'),
  ],
);

export const apiKeys = pgTable('api_keys', {
  id: id(),
  orgId: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
  keyId: text('key_id').notNull().unique('api_keys_key_id_key'),
  secretHash: text('secret_hash').notNull(),
  name: text('name').notNull(),
  scopes: text('scopes').array().notNull().default([]),
  createdBy: uuid('created_by').references(() => users.id, { onDelete: 'set null' }),
  lastUsedAt: time('last_used_at'),
  expiresAt: time('expires_at'),
  revokedAt: time('revoked_at'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
});

export const agents = pgTable('agents', {
  id: id(),
  orgId: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
  name: text('name').notNull(),
  version: integer('version').notNull().default(1),
  publishedVersion: integer('published_version'),
  metadata: jsonObject('metadata'),
  deletedAt: time('deleted_at'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
});

export const agentVersions = pgTable(
  'agent_versions',
  {
    orgId: orgId(),
    agentId: uuid('agent_id').notNull(),
    version: integer('version').notNull(),
    config: jsonb('config').$type<JsonObject>().notNull(),
    createdBy: uuid('created_by').references(() => users.id, { onDelete: 'set null' }),
    createdAt: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.orgId, table.agentId, table.version] }),
    foreignKey({ columns: [table.orgId, table.agentId], foreignColumns: [agents.orgId, agents.id] }).onDelete(
      'cascade',
    ),
  ],
);

export const voiceConfigurations = pgTable('voice_configurations', {
  id: id(),
  orgId: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
  name: text('name').notNull(),
  provider: text('provider').notNull(),
  model: text('model'),
  voice: text('voice'),
  options: jsonObject('options'),
  metadata: jsonObject('metadata'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
});

export const phoneNumbers = pgTable('phone_numbers', {
  id: id(),
  orgId: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
  number: text('number').notNull(),
  agentId: uuid('agent_id'),
  label: text('label'),
  metadata: jsonObject('metadata'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
});

/** Since when a number is claimed; kept by a trigger on `phone_numbers`. */
export const phoneNumberClaims = pgTable(
  'phone_number_claims',
  {
    orgId: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    number: text('number').notNull(),
    claimedAt: time('claimed_at').notNull().defaultNow(),
    givenUpAt: time('given_up_at'),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.number] })],
);

/** The servers that own calls, a row for each start; no tenant's data. */
export const instances = pgTable('instances', {
  id: uuid('id').primaryKey(),
  nodeId: uuid('node_id').notNull(),
  host: text('host').notNull(),
  startedAt: time('started_at').notNull().defaultNow(),
  heartbeatAt: time('heartbeat_at').notNull().defaultNow(),
  beats: bigint('beats', { mode: 'number' }).notNull().default(0),
});

export const calls = pgTable('calls', {
  id: id(),
  orgId: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
  twilioCallSid: text('twilio_call_sid').unique('calls_twilio_call_sid_key'),
  direction: text('direction', { enum: ['inbound', 'outbound'] }).notNull(),
  channel: text('channel', { enum: ['phone', 'web'] })
    .notNull()
    .default('phone'),
  fromNumber: text('from_number').notNull().default(''),
  toNumber: text('to_number').notNull().default(''),
  agentId: uuid('agent_id').notNull(),
  agentVersion: integer('agent_version').notNull(),
  status: text('status', { enum: CALL_STATUSES }).notNull().default('initiated'),
  endReason: text('end_reason'),
  endDetail: text('end_detail'),
  /** Null also when nobody knows better than the server that runs the call. */
  askedEnd: text('asked_end', { enum: ASKED_ENDS }),
  answeredBy: text('answered_by'),
  createdAt: createdAt(),
  startedAt: time('started_at'),
  answeredAt: time('answered_at'),
  endedAt: time('ended_at'),
  durationMs: bigint('duration_ms', { mode: 'number' }),
  telephonyCostUsd: numeric('telephony_cost_usd', { precision: 12, scale: 6, mode: 'number' }),
  sttCostUsd: numeric('stt_cost_usd', { precision: 12, scale: 6, mode: 'number' }),
  llmCostUsd: numeric('llm_cost_usd', { precision: 12, scale: 6, mode: 'number' }),
  ttsCostUsd: numeric('tts_cost_usd', { precision: 12, scale: 6, mode: 'number' }),
  /** With the cost of each part (calls/costs.ts). */
  usage: jsonb('usage').$type<JsonObject>(),
  twilioSequence: integer('twilio_sequence'),
  /** Of `instances`, whose row may be gone once the call has ended. */
  instanceId: uuid('instance_id'),
  variables: jsonb('variables')
    .$type<Readonly<Record<string, string>>>()
    .notNull()
    .default(sql`'{}'`),
  metadata: jsonObject('metadata'),
  search: tsvector('search').notNull().default(''),
  updatedAt: updatedAt(),
});

export const conversations = pgTable('conversations', {
  id: id(),
  orgId: orgId(),
  callId: uuid('call_id').notNull(),
  status: text('status', { enum: CONVERSATION_STATUSES }).notNull().default('active'),
  startedAt: time('started_at').notNull().defaultNow(),
  endedAt: time('ended_at'),
  /** Read by earlier builds only (migration 0024). */
  metadata: jsonObject('metadata'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
});

export const messages = pgTable(
  'messages',
  {
    orgId: orgId(),
    conversationId: uuid('conversation_id').notNull(),
    /** The number of the call's event that it comes from. */
    seq: integer('seq').notNull(),
    role: text('role', { enum: ['caller', 'agent', 'tool'] }).notNull(),
    text: text('text').notNull(),
    heardText: text('heard_text').notNull(),
    atMs: bigint('at_ms', { mode: 'number' }).notNull(),
    details: jsonObject('details'),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.conversationId, table.seq] })],
);

export const turns = pgTable(
  'turns',
  {
    orgId: orgId(),
    callId: uuid('call_id').notNull(),
    seq: integer('seq').notNull(),
    turn: integer('turn').notNull(),
    atMs: bigint('at_ms', { mode: 'number' }).notNull(),
    voiceToVoiceMs: doublePrecision('voice_to_voice_ms'),
    stages: jsonb('stages').$type<JsonObject>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.callId, table.seq] })],
);

export const callEvents = pgTable(
  'call_events',
  {
    id: bigint('id', { mode: 'number' }).notNull().generatedAlwaysAsIdentity(),
    orgId: orgId(),
    callId: uuid('call_id').notNull(),
    seq: integer('seq').notNull(),
    type: text('type').notNull(),
    atMs: bigint('at_ms', { mode: 'number' }).notNull(),
    payload: jsonObject('payload'),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.callId, table.seq] })],
);

/** What each media stream of a call has used in all so far. */
export const callUsage = pgTable(
  'call_usage',
  {
    orgId: orgId(),
    callId: uuid('call_id').notNull(),
    instanceId: uuid('instance_id').notNull(),
    stream: integer('stream').notNull(),
    seq: integer('seq').notNull(),
    final: boolean('final').notNull(),
    usage: jsonb('usage').$type<CallUsage>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.callId, table.instanceId, table.stream] })],
);

export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    orgId: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    key: text('key').notNull(),
    route: text('route').notNull(),
    requestHash: text('request_hash').notNull(),
    /** Written by earlier builds only, as `response_status` (migration 0024). */
    status: text('status', { enum: ['in_progress', 'completed'] })
      .notNull()
      .default('in_progress'),
    responseStatus: integer('response_status'),
    /** With its status, sealed (http/mutation.ts). */
    responseBody: jsonb('response_body').$type<unknown>(),
    createdAt: createdAt(),
    expiresAt: time('expires_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.key] })],
);

export const auditLog = pgTable('audit_log', {
  id: id(),
  orgId: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
  actorType: text('actor_type', { enum: ['user', 'api_key', 'system'] }).notNull(),
  actorUserId: uuid('actor_user_id').references(() => users.id, { onDelete: 'set null' }),
  actorApiKeyId: uuid('actor_api_key_id'),
  action: text('action').notNull(),
  resourceType: text('resource_type').notNull(),
  resourceId: text('resource_id'),
  details: jsonObject('details'),
  requestId: text('request_id'),
  createdAt: createdAt(),
});

export const invitations = pgTable('invitations', {
  id: id(),
  orgId: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
  email: text('email').notNull(),
  role: text('role', { enum: ROLES }).notNull(),
  tokenHash: text('token_hash').notNull().unique('invitations_token_hash_key'),
  invitedBy: uuid('invited_by').references(() => users.id, { onDelete: 'set null' }),
  expiresAt: time('expires_at').notNull(),
  acceptedAt: time('accepted_at'),
  createdAt: createdAt(),
});
