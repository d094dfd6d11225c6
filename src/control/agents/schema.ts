/** The agent as JSON: every field validated, with its default, in one place. */
import { z } from 'zod';
import type { AgentConfig, TurnTakingSettings } from '../../pipeline/ports.ts';

const routeEntry = z.strictObject({
  provider: z.string().min(1),
  model: z.string().min(1).optional(),
  voice: z.string().min(1).optional(),
  weight: z.number().positive().max(1_000).optional(),
  options: z.record(z.string(), z.unknown()).optional(),
});

const route = (providers: readonly string[]) =>
  z
    .array(routeEntry)
    .max(8)
    .default(providers.map((provider) => ({ provider })));

const turnTaking = z.strictObject({
  interruptible_first_message: z.boolean().default(true),
  barge_in_ms: z.int().min(32).max(5_000).default(120),
  barge_in_min_words: z.int().min(1).max(20).default(1),
  false_alarm_ms: z.int().min(200).max(5_000).default(900),
  cool_down_after: z.int().min(0).max(20).default(2),
  cool_down_ms: z.int().min(0).max(120_000).default(10_000),
  backchannels: z.array(z.string().min(1).max(50)).max(100).optional(),
  never_interrupt: z.array(z.string().min(1).max(2_000)).max(20).default([]),
  end_of_turn_silence_ms: z.int().min(100).max(5_000).default(200),
  incomplete_silence_ms: z.int().min(100).max(10_000).default(1_200),
  dictation_silence_ms: z.int().min(100).max(10_000).default(1_800),
  filler_after_ms: z.int().min(500).max(30_000).default(3_000),
  turn_deadline_ms: z.int().min(1_000).max(30_000).default(6_000),
  speculation: z
    .strictObject({
      enabled: z.boolean().default(true),
      max_tries: z.int().min(1).max(5).default(2),
      wasted_token_budget: z.int().min(0).max(1_000_000).default(2_000),
    })
    .prefault({}),
});

const silence = z.strictObject({
  reminder_after_ms: z.int().min(1_000).max(600_000).default(10_000),
  reminder_message: z.string().min(1).max(500).default('Are you still there?'),
  max_reminders: z.int().min(0).max(10).default(2),
});

const fallback = z
  .strictObject({
    action: z.enum(['hang-up', 'message', 'transfer']).default('hang-up'),
    message: z.string().max(500).default(''),
    transfer_to: z
      .string()
      .regex(/^\+[1-9]\d{4,14}$/u, 'must be E.164 such as +15550100')
      .optional(),
  })
  .refine(({ action, transfer_to }) => action !== 'transfer' || transfer_to !== undefined, {
    message: 'is needed with the action transfer',
    path: ['transfer_to'],
  })
  .refine(({ action, message }) => action !== 'message' || message !== '', {
    message: 'is needed with the action message',
    path: ['message'],
  });

/** An agent file: the agent shape of the HTTP API, and questions and answers for the embedded responder. */
export const agentSchema = z.strictObject({
  name: z.string().min(1).max(100),
  system_prompt: z.string().max(20_000).default(''),
  first_message: z.string().max(2_000).default(''),
  language: z
    .string()
    .regex(/^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/u, 'must be a BCP 47 tag such as en or en-US')
    .default('en'),
  stt: route(['deepgram', 'embedded']),
  llm: route(['openai', 'embedded']),
  tts: route(['elevenlabs', 'embedded']),
  turn_taking: turnTaking.prefault({}),
  questions_and_answers: z
    .array(
      z.strictObject({
        questions: z.array(z.string().min(1).max(300)).min(1).max(20),
        answer: z.string().min(1).max(2_000),
      }),
    )
    .max(200)
    .default([]),
  end_call_phrases: z.array(z.string().min(1).max(100)).max(50).default(['goodbye', 'bye bye', 'thank you goodbye']),
  end_call_tool: z.boolean().default(true),
  goodbye_message: z.string().min(1).max(500).default('Thank you for calling. Goodbye.'),
  silence: silence.prefault({}),
  /** What happens when no provider can serve a call any more. */
  fallback: fallback.prefault({}),
  max_duration_s: z.int().min(10).max(14_400).default(3_600),
  /** How long before the end of the maximum duration the caller is told. */
  duration_warning_s: z.int().min(0).max(600).default(30),
  /** Numbers whose calls this agent answers, in E.164; `*` answers for every number that no agent has. */
  phone_numbers: z
    .array(z.string().regex(/^(\*|\+[1-9]\d{4,14})$/u, 'must be E.164 such as +15550100, or *'))
    .max(100)
    .default([]),
});

export type AgentFile = z.infer<typeof agentSchema>;

/** The agent as the pipeline runs it. */
export function toAgentConfig(id: string, file: AgentFile): AgentConfig {
  return {
    id,
    version: 1,
    name: file.name,
    systemPrompt: file.system_prompt,
    firstMessage: file.first_message,
    language: file.language,
    stt: file.stt,
    llm: file.llm,
    tts: file.tts,
    turnTaking: toTurnTaking(file.turn_taking),
    questionsAndAnswers: file.questions_and_answers,
    endCallPhrases: file.end_call_phrases,
    endCallTool: file.end_call_tool,
    goodbyeMessage: file.goodbye_message,
    silence: {
      reminderAfterMs: file.silence.reminder_after_ms,
      reminderMessage: file.silence.reminder_message,
      maxReminders: file.silence.max_reminders,
    },
    fallback: {
      action: file.fallback.action,
      message: file.fallback.message,
      transferTo: file.fallback.transfer_to,
    },
    maxDurationMs: file.max_duration_s * 1_000,
    durationWarningMs: file.duration_warning_s * 1_000,
  };
}

function toTurnTaking(file: AgentFile['turn_taking']): TurnTakingSettings {
  return {
    interruptibleFirstMessage: file.interruptible_first_message,
    bargeInMs: file.barge_in_ms,
    bargeInMinWords: file.barge_in_min_words,
    falseAlarmMs: file.false_alarm_ms,
    coolDownAfter: file.cool_down_after,
    coolDownMs: file.cool_down_ms,
    backchannels: file.backchannels,
    neverInterrupt: file.never_interrupt,
    endOfTurnSilenceMs: file.end_of_turn_silence_ms,
    incompleteSilenceMs: file.incomplete_silence_ms,
    dictationSilenceMs: file.dictation_silence_ms,
    fillerAfterMs: file.filler_after_ms,
    turnDeadlineMs: file.turn_deadline_ms,
    speculation: {
      enabled: file.speculation.enabled,
      maxTries: file.speculation.max_tries,
      wastedTokenBudget: file.speculation.wasted_token_budget,
    },
  };
}
