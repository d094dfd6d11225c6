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
  cost_usd: z
    .object({
      telephony: cost,
      stt: cost,
      llm: cost,
      tts: cost,
      total: cost.describe('Null unless all parts are known.'),
      is_minimum: z
        .boolean()
        .describe('More was used, and nobody told how much: a request that was broken off, or a server that died.'),
    })
    .describe('By the operator’s prices, in US dollars. Null until the call has ended, and where a price is missing.'),
  variables: variablesSchema.describe(
    'What `{{name}}` in the agent’s texts stood for, as the request that began the call said.',
  ),
  metadata: metadataSchema,
};

const ofProvider = { provider: z.string(), model: z.string().nullable(), cost_usd: cost };

const usage = z.object({
  telephony: z
    .object({ duration_ms: z.int(), cost_usd: cost })
    .nullable()
    .describe('Null: a browser’s call, which no carrier carries.'),
  stt: z.array(z.object({ ...ofProvider, audio_ms: z.int().describe('Of audio sent to it.') })),
  llm: z.array(
    z.object({
      ...ofProvider,
      requests: z.int(),
      unreported_requests: z.int().describe('Of these, the ones whose tokens it has not told, or not all.'),
      input_tokens: z.int(),
      output_tokens: z.int(),
    }),
  ),
  tts: z.array(z.object({ ...ofProvider, characters: z.int().describe('Sent to be spoken.') })),
});

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
    usage: usage.nullable().describe('What was asked of each provider, heard or not. Null: not known, or not yet.'),
    missing_prices: z
      .array(
        z.object({
          stage: z.enum(['telephony', 'stt', 'llm', 'tts']),
          provider: z.string().nullable().describe('Null: the carrier, for this direction.'),
          model: z.string().nullable(),
        }),
      )
      .describe('What the operator has given no price for, so that a cost is null.'),
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
