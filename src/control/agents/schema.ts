/** The agent as JSON: every field validated, with its default, in one place. */
import { z } from 'zod';
import type { AgentConfig } from '../../pipeline/ports.ts';

const routeEntry = z.strictObject({
  provider: z.string().min(1),
  model: z.string().min(1).optional(),
  voice: z.string().min(1).optional(),
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
  end_of_turn_silence_ms: z.int().min(100).max(5_000).default(400),
  turn_deadline_ms: z.int().min(1_000).max(30_000).default(6_000),
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
  goodbye_message: z.string().min(1).max(500).default('Thank you for calling. Goodbye.'),
  max_duration_s: z.int().min(10).max(14_400).default(3_600),
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
    turnTaking: {
      interruptibleFirstMessage: file.turn_taking.interruptible_first_message,
      bargeInMs: file.turn_taking.barge_in_ms,
      endOfTurnSilenceMs: file.turn_taking.end_of_turn_silence_ms,
      turnDeadlineMs: file.turn_taking.turn_deadline_ms,
    },
    questionsAndAnswers: file.questions_and_answers,
    endCallPhrases: file.end_call_phrases,
    goodbyeMessage: file.goodbye_message,
    maxDurationMs: file.max_duration_s * 1_000,
  };
}
