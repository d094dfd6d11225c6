/** Calls as the API shows them. */
import { z } from 'zod';
import { metadataSchema, variablesSchema } from '../agents/schema.ts';
import { CALL_STATUSES } from '../db/schema.ts';

const time = z.iso.datetime().nullable();
const cost = z.number().nullable();

const summary = {
  id: z.uuid(),
  status: z.enum(CALL_STATUSES),
  end_reason: z.string().nullable().describe('Why it ended, such as `caller-hung-up`; null: it has not.'),
  end_detail: z.string().nullable().describe('More about it in words, such as why the carrier refused.'),
  direction: z.enum(['inbound', 'outbound']),
  channel: z.enum(['phone', 'web']),
  from: z.string(),
  to: z.string(),
  agent_id: z.uuid(),
  agent_version: z.int().describe('The version that it ran on.'),
  twilio_call_sid: z.string().nullable(),
  answered_by: z.string().nullable().describe('What Twilio’s answering machine detection heard.'),
  created_at: z.iso.datetime(),
  started_at: time.describe('When the conversation began.'),
  answered_at: time,
  ended_at: time,
  duration_ms: z.int().nullable(),
  cost_usd: z.object({ telephony: cost, stt: cost, llm: cost, tts: cost }).describe('Null while unknown.'),
  variables: variablesSchema.describe(
    'What `{{name}}` in the agent’s texts stood for, as the request that began the call said.',
  ),
  metadata: metadataSchema,
};

export const messageResponse = z
  .object({
    seq: z.int().describe('The number of the event that it comes from.'),
    role: z.enum(['caller', 'agent', 'tool']),
    text: z.string(),
    heard_text: z.string().describe('Of the agent’s words those that the caller heard.'),
    at_ms: z.int().describe('Since the call began.'),
    details: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Message' });

export const callSummaryResponse = z.object(summary).meta({ id: 'CallSummary' });

export const callResponse = z
  .object({
    ...summary,
    conversation_id: z.uuid().nullable(),
    messages: z.array(messageResponse),
    turns: z.array(
      z.object({
        turn: z.int(),
        at_ms: z.int(),
        voice_to_voice_ms: z
          .number()
          .nullable()
          .describe('From the caller’s end of speech to the first audio on the wire; null: there was none.'),
        stages: z.record(z.string(), z.unknown()).describe('Milliseconds after the end of speech.'),
      }),
    ),
    events: z.array(z.looseObject({ seq: z.int(), type: z.string(), at_ms: z.int() })),
  })
  .meta({ id: 'Call' });

export const conversationResponse = z
  .object({
    id: z.uuid(),
    call_id: z.uuid(),
    status: z.enum(['active', 'completed', 'abandoned']),
    started_at: z.iso.datetime(),
    ended_at: time,
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'Conversation' });
