/** The agent as JSON: every field with its meaning, bounds and default, in one place; also what the OpenAPI document says of it. */
import { z } from 'zod';
import type { AgentConfig, RouteEntry, TurnTakingSettings } from '../../pipeline/ports.ts';
import { withLanguageDefaults } from './language-defaults.ts';

/** Free facts of the client's own, on agents, numbers and voices. */
export const metadataSchema = z
  .record(z.string().min(1).max(100), z.unknown())
  .refine((value) => Object.keys(value).length <= 50, 'must have at most 50 fields')
  .refine((value) => JSON.stringify(value).length <= 16_384, 'must be at most 16 KiB of JSON')
  .describe('Facts of your own; up to 50 fields and 16 KiB.')
  .meta({ examples: [{ team: 'front office' }] });

/** What `{{name}}` in an agent's texts stands for. */
export const variablesSchema = z
  .record(z.string().regex(/^[a-z][a-z0-9_]{0,49}$/u, 'must be like caller_name'), z.string().max(2_000))
  .refine((value) => Object.keys(value).length <= 50, 'must have at most 50 variables')
  .meta({ examples: [{ company: 'Harbour View' }] });

/** A telephone number in E.164. */
export const phoneNumberSchema = z
  .string()
  .regex(/^\+[1-9]\d{4,14}$/u, 'must be E.164 such as +15550100')
  .meta({ examples: ['+15550100'] });

const stageName = z.string().min(1).max(100);

const routeEntry = z.strictObject({
  provider: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,49}$/u, 'must be the name of a provider such as deepgram or embedded')
    .describe('`deepgram`, `openai`, `elevenlabs`, `anthropic`, `embedded`; one that is not configured is passed over.')
    .meta({ examples: ['embedded'] }),
  model: stageName.optional().describe('Default: the provider’s usual model.'),
  voice: stageName.optional().describe('Of a speech provider. Default: its usual voice.'),
  weight: z
    .number()
    .positive()
    .max(1_000)
    .optional()
    .meta({ examples: [1] })
    .describe('Among healthy providers that have weights one is drawn by them, for each call; the rest stand behind.'),
  options: z.record(z.string().max(100), z.unknown()).optional().describe('Passed to the provider as they are.'),
});

const voiceEntry = routeEntry.extend({
  voice_configuration_id: z
    .uuid()
    .optional()
    .describe('A voice configuration, which gives what this entry itself does not: model, voice and options.'),
});

const route = <Entry extends typeof routeEntry>(entry: Entry, providers: readonly string[], stage: string) =>
  z
    .array(entry)
    .max(8)
    .default(() => providers.map((provider) => entry.parse({ provider })))
    .describe(
      `${stage}: providers in order; the first healthy one serves, the embedded engine stands behind the last.`,
    );

const turnTaking = z.strictObject({
  interruptible_first_message: z
    .boolean()
    .default(true)
    .describe('Whether the caller can talk over the first message.'),
  barge_in_ms: z
    .int()
    .min(32)
    .max(5_000)
    .default(120)
    .describe('Voiced audio that silences the agent until it is known what was said.'),
  barge_in_min_words: z
    .int()
    .min(1)
    .max(20)
    .default(1)
    .describe('Words that take the floor; backchannels do not count.'),
  false_alarm_ms: z
    .int()
    .min(200)
    .max(5_000)
    .default(900)
    .describe('Without words for this long the silenced agent goes on.'),
  cool_down_after: z
    .int()
    .min(0)
    .max(20)
    .default(2)
    .describe('After so many false alarms in a row a sound must be three times as long; 0: never.'),
  cool_down_ms: z.int().min(0).max(120_000).default(10_000).describe('How long that lasts.'),
  backchannels: z
    .array(z.string().min(1).max(50))
    .max(100)
    .optional()
    .describe('Words by which a listener says “go on”. Default: the language’s own list.'),
  never_interrupt: z
    .array(z.string().min(1).max(2_000))
    .max(20)
    .default([])
    .describe('Texts, such as legal ones, that are always spoken to their end.'),
  end_of_turn_silence_ms: z.int().min(100).max(5_000).default(200).describe('The wait after a complete sentence.'),
  incomplete_silence_ms: z.int().min(100).max(10_000).default(1_200).describe('The wait after “and, um …”.'),
  dictation_silence_ms: z
    .int()
    .min(100)
    .max(10_000)
    .default(1_800)
    .describe('The wait while a number, an address or a name is dictated.'),
  filler_after_ms: z
    .int()
    .min(500)
    .max(30_000)
    .default(3_000)
    .describe('A reply this late is announced: “One moment, please.”'),
  turn_deadline_ms: z
    .int()
    .min(1_000)
    .max(30_000)
    .default(6_000)
    .describe('A reply this late is given up, with an apology.'),
  speculation: z
    .strictObject({
      enabled: z.boolean().default(true),
      max_tries: z.int().min(1).max(5).default(2).describe('Replies begun on a guess, per turn.'),
      wasted_token_budget: z
        .int()
        .min(0)
        .max(1_000_000)
        .default(2_000)
        .describe('Tokens that a call may spend on wrong guesses.'),
    })
    .prefault({})
    .describe('Beginning a reply before it is certain that the caller is done.'),
});

const silence = z.strictObject({
  reminder_after_ms: z.int().min(1_000).max(600_000).default(10_000),
  reminder_message: z
    .string()
    .min(1)
    .max(500)
    .optional()
    .describe('Said when nobody has spoken for so long. Default: a question in the agent’s language.')
    .meta({ examples: ['Are you still there?'] }),
  max_reminders: z
    .int()
    .min(0)
    .max(10)
    .default(2)
    .describe('Then the agent takes its leave; 0: it never hangs up for silence.'),
});

const fallback = z
  .strictObject({
    action: z
      .enum(['hang-up', 'message', 'transfer'])
      .default('hang-up')
      .describe('`message` says the message and hangs up; `transfer` connects the caller to transfer_to.'),
    message: z.string().max(500).default('').describe('Said before it. Empty: a phrase in the agent’s language.'),
    transfer_to: phoneNumberSchema.optional().describe('Whom to transfer to.'),
  })
  .refine(({ action, transfer_to }) => action !== 'transfer' || transfer_to !== undefined, {
    message: 'is needed with the action transfer',
    path: ['transfer_to'],
  })
  .refine(({ action, message }) => action !== 'message' || message !== '', {
    message: 'is needed with the action message',
    path: ['message'],
  })
  .describe('What to do when no provider of a stage can serve any more.');

const agentFields = {
  name: z
    .string()
    .min(1)
    .max(100)
    .describe('For people.')
    .meta({ examples: ['Front desk'] }),
  system_prompt: z
    .string()
    .max(20_000)
    .default('')
    .describe('Who the agent is and what it should do. `{{name}}` stands for a variable.'),
  first_message: z
    .string()
    .max(2_000)
    .default('')
    .describe('Spoken when the call begins; empty: the agent waits for the caller. `{{name}}` stands for a variable.'),
  variables: variablesSchema.default({}).describe('What `{{name}}` stands for unless a call says otherwise.'),
  language: z
    .string()
    .regex(/^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/u, 'must be a BCP 47 tag such as en or en-US')
    .max(35)
    .default('en')
    .describe('What the agent hears and speaks, and the language of all texts that it has by default.')
    .meta({ examples: ['en'] }),
  stt: route(routeEntry, ['deepgram', 'embedded'], 'Speech recognition'),
  llm: route(routeEntry, ['openai', 'embedded'], 'Language model'),
  tts: route(voiceEntry, ['elevenlabs', 'embedded'], 'Speech synthesis'),
  turn_taking: turnTaking.prefault({}).describe('When the agent speaks, waits and yields.'),
  questions_and_answers: z
    .array(
      z.strictObject({
        questions: z.array(z.string().min(1).max(300)).min(1).max(20),
        answer: z.string().min(1).max(2_000),
      }),
    )
    .max(200)
    .default([])
    .describe('All that the embedded engines know; cloud models find them in their prompt.'),
  end_call_phrases: z
    .array(z.string().min(1).max(100))
    .max(50)
    .optional()
    .describe(
      'When the caller says one of these, with a few words around it at most, the agent takes its leave; case, accents and ' +
        'punctuation do not matter. Default: what callers say in the agent’s language.',
    )
    .meta({ examples: [['goodbye', 'bye bye']] }),
  end_call_tool: z.boolean().default(true).describe('Whether the model may end the call itself, by a tool.'),
  goodbye_message: z
    .string()
    .min(1)
    .max(500)
    .optional()
    .describe('Said before hanging up. Default: thanks and a goodbye in the agent’s language.')
    .meta({ examples: ['Thank you for calling. Goodbye.'] }),
  silence: silence.prefault({}).describe('What the agent does when nobody says anything.'),
  max_duration_s: z.int().min(10).max(14_400).default(3_600),
  duration_warning_s: z.int().min(0).max(600).default(30).describe('How long before that the caller is told; 0: not.'),
  fallback: fallback.prefault({}),
  metadata: metadataSchema.default({}),
};

/** What `POST /api/v1/agents` takes, and each version keeps; everything but the name has a default. */
export const agentSchema = z.strictObject(agentFields);

/** An agent as JSON, with every default filled in but those that depend on its language (language-defaults.ts). */
export type AgentDocument = z.infer<typeof agentSchema>;

/** A file of `agents/`: the same, and the numbers whose calls it answers; `*`: every number that no other agent has. */
export const agentFileSchema = z.strictObject({
  ...agentFields,
  phone_numbers: z
    .array(z.string().regex(/^(\*|\+[1-9]\d{4,14})$/u, 'must be E.164 such as +15550100, or *'))
    .max(100)
    .default([]),
});

/**
 * The agent as the pipeline runs it; `version` is 1 for files, which have none. Voice configurations must have been filled in
 * (agents/for-calls.ts).
 */
export function toAgentConfig(id: string, stored: AgentDocument, version = 1): AgentConfig {
  const document = withLanguageDefaults(stored);
  return {
    id,
    version,
    name: document.name,
    systemPrompt: document.system_prompt,
    firstMessage: document.first_message,
    variables: document.variables,
    language: document.language,
    stt: document.stt.map(toRouteEntry),
    llm: document.llm.map(toRouteEntry),
    tts: document.tts.map(toRouteEntry),
    turnTaking: toTurnTaking(document.turn_taking),
    questionsAndAnswers: document.questions_and_answers,
    endCallPhrases: document.end_call_phrases,
    endCallTool: document.end_call_tool,
    goodbyeMessage: document.goodbye_message,
    silence: {
      reminderAfterMs: document.silence.reminder_after_ms,
      reminderMessage: document.silence.reminder_message,
      maxReminders: document.silence.max_reminders,
    },
    fallback: {
      action: document.fallback.action,
      message: document.fallback.message,
      transferTo: document.fallback.transfer_to,
    },
    maxDurationMs: document.max_duration_s * 1_000,
    durationWarningMs: document.duration_warning_s * 1_000,
  };
}

function toRouteEntry({ provider, model, voice, weight, options }: z.infer<typeof routeEntry>): RouteEntry {
  return { provider, model, voice, weight, options };
}

function toTurnTaking(settings: AgentDocument['turn_taking']): TurnTakingSettings {
  return {
    interruptibleFirstMessage: settings.interruptible_first_message,
    bargeInMs: settings.barge_in_ms,
    bargeInMinWords: settings.barge_in_min_words,
    falseAlarmMs: settings.false_alarm_ms,
    coolDownAfter: settings.cool_down_after,
    coolDownMs: settings.cool_down_ms,
    backchannels: settings.backchannels,
    neverInterrupt: settings.never_interrupt,
    endOfTurnSilenceMs: settings.end_of_turn_silence_ms,
    incompleteSilenceMs: settings.incomplete_silence_ms,
    dictationSilenceMs: settings.dictation_silence_ms,
    fillerAfterMs: settings.filler_after_ms,
    turnDeadlineMs: settings.turn_deadline_ms,
    speculation: {
      enabled: settings.speculation.enabled,
      maxTries: settings.speculation.max_tries,
      wastedTokenBudget: settings.speculation.wasted_token_budget,
    },
  };
}
