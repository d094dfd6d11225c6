/** The configuration: every environment variable, validated once, before anything is opened. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { BvraiError } from './core/errors.ts';

/** Where a vendor is reached. Present only when its key is configured. */
export interface ProviderConfig {
  readonly apiKey: string;
  readonly baseUrl: string;
}

export interface Config {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** The media sockets' own port; absent: they share `port`. */
  readonly mediaPort: number | undefined;
  /** The origin under which Twilio reaches this server, without a trailing slash. */
  readonly publicUrl: string | undefined;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Calls at the same time; one more hears that all lines are busy. */
  readonly maxCalls: number;
  /** Of one organization. Absent: as many as of all. */
  readonly maxCallsPerOrganization: number | undefined;
  /** The agents that a server in local mode begins with. */
  readonly agentsDirectory: string;
  readonly migrationsDirectory: string;
  /** What the server keeps on its own disk: the spool of call records and, without `databaseUrl`, the database. */
  readonly dataDirectory: string;
  /** Postgres. Absent: the embedded database in `dataDirectory`. */
  readonly databaseUrl: string | undefined;
  /** Signs access tokens and more. Absent: made once, and kept in `dataDirectory`. */
  readonly authSecret: string | undefined;
  /** Whether anybody may make an account and an organization, or only whom a member invites may join. */
  readonly registration: 'open' | 'closed';
  /** Other origins whose pages may call the API. */
  readonly corsOrigins: readonly string[];
  /** Reverse proxies in front of this server, whose X-Forwarded-For is believed. */
  readonly trustedProxies: number;
  /** What one user or API key may ask of the API in a minute. */
  readonly apiQuotas: { readonly readsPerMinute: number; readonly writesPerMinute: number };
  /** Absent: local mode. No signature can be checked, so only callers on this machine are served. */
  readonly twilio:
    | { readonly authToken: string; readonly accountSid: string | undefined; readonly apiBaseUrl: string }
    | undefined;
  /** How many calls a second this server asks Twilio to ring, at most. */
  readonly twilioCallsPerSecond: number;
  /** A file that says what vendors charge. Absent: costs are not known. */
  readonly pricesFile: string | undefined;
  /** How many of the requests to providers may be doubled, at most; 0: none. */
  readonly hedgeShare: number;
  readonly deepgram: ProviderConfig | undefined;
  readonly openai: ProviderConfig | undefined;
  readonly elevenlabs: ProviderConfig | undefined;
  readonly anthropic: ProviderConfig | undefined;
}

const port = (example: string) =>
  z
    .string()
    .regex(/^\d{1,5}$/u, `must be a port number; example: ${example}`)
    .transform(Number)
    .refine((value) => value <= 65_535, `must be at most 65535; example: ${example}`);

const httpUrl = (example: string) =>
  z
    .string()
    .refine(
      (value) => URL.canParse(value) && /^https?:$/u.test(new URL(value).protocol),
      `must be an http(s) URL; example: ${example}`,
    )
    .transform((value) => value.replace(/\/+$/u, ''));

const secret = z.string().regex(/^\S+$/u, 'must not contain white space; example: the value as the vendor shows it');

const perMinute = (example: string) =>
  z
    .string()
    .regex(/^[1-9]\d{0,6}$/u, `must be a number from 1 to 9999999; example: ${example}`)
    .transform(Number);

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
const REGISTRATION = ['open', 'closed'] as const;

const schema = z.object({
  HOST: z
    .string()
    .regex(/^[\w.:-]+$/u, 'must be a host name or an address; example: 0.0.0.0')
    .optional(),
  PORT: port('8080').default(8080),
  MEDIA_PORT: port('8081').optional(),
  PUBLIC_URL: httpUrl('https://voice.example.com')
    .refine(
      (value) => new URL(value).pathname === '/',
      'must be an origin without a path; example: https://voice.example.com',
    )
    .optional(),
  LOG_LEVEL: z.enum(LEVELS, `must be one of ${LEVELS.join(', ')}; example: info`).default('info'),
  MAX_CALLS: z
    .string()
    .regex(/^[1-9]\d{0,4}$/u, 'must be a number from 1 to 99999; example: 200')
    .transform(Number)
    .default(200),
  MAX_CALLS_PER_ORGANIZATION: z
    .string()
    .regex(/^[1-9]\d{0,4}$/u, 'must be a number from 1 to 99999; example: 50')
    .transform(Number)
    .optional(),
  DATA_DIR: z.string().optional(),
  DATABASE_URL: z
    .string()
    .refine(
      (value) => URL.canParse(value) && /^postgres(ql)?:$/u.test(new URL(value).protocol),
      'must be a Postgres URL; example: postgres://bvrai:secret@127.0.0.1:5432/bvrai',
    )
    .optional(),
  PRICES_FILE: z.string().optional(),
  HEDGE_SHARE: z
    .string()
    .regex(/^(0|0?\.\d{1,4})$/u, 'must be a share from 0 to 0.5; example: 0.05')
    .transform(Number)
    .refine((value) => value <= 0.5, 'must be a share from 0 to 0.5; example: 0.05')
    .default(0.05),
  AUTH_SECRET: z
    .string()
    .min(32, 'must have at least 32 characters; example: the output of openssl rand -base64 32')
    .optional(),
  REGISTRATION: z.enum(REGISTRATION, `must be one of ${REGISTRATION.join(', ')}; example: closed`).default('open'),
  CORS_ORIGINS: z
    .string()
    .transform((value) => value.split(',').map((origin) => origin.trim()))
    .refine(
      (origins) => origins.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin),
      'must be origins, separated by commas, and no *; example: https://app.example.com,http://localhost:5173',
    )
    .default([]),
  TRUSTED_PROXIES: z.string().regex(/^\d$/u, 'must be a number from 0 to 9; example: 1').transform(Number).default(0),
  API_READS_PER_MINUTE: perMinute('1200').default(1_200),
  API_WRITES_PER_MINUTE: perMinute('300').default(300),
  TWILIO_ACCOUNT_SID: z
    .string()
    .regex(/^AC[0-9a-f]{32}$/u, `must be AC and 32 hex digits; example: AC${'0'.repeat(32)}`)
    .optional(),
  TWILIO_AUTH_TOKEN: secret.optional(),
  TWILIO_CALLS_PER_SECOND: z
    .string()
    .regex(/^\d{1,3}(\.\d{1,3})?$/u, 'must be a number from 0.01 to 500; example: 1')
    .transform(Number)
    .refine((value) => value >= 0.01 && value <= 500, 'must be a number from 0.01 to 500; example: 1')
    .default(1),
  TWILIO_API_BASE_URL: httpUrl('https://api.twilio.com').default('https://api.twilio.com'),
  DEEPGRAM_API_KEY: secret.optional(),
  DEEPGRAM_BASE_URL: httpUrl('https://api.deepgram.com').default('https://api.deepgram.com'),
  OPENAI_API_KEY: secret.optional(),
  OPENAI_BASE_URL: httpUrl('https://api.openai.com/v1').optional(),
  ELEVENLABS_API_KEY: secret.optional(),
  ELEVENLABS_BASE_URL: httpUrl('https://api.elevenlabs.io').default('https://api.elevenlabs.io'),
  ANTHROPIC_API_KEY: secret.optional(),
  ANTHROPIC_BASE_URL: httpUrl('https://api.anthropic.com').default('https://api.anthropic.com'),
});

/** The names of all variables. */
export const VARIABLES: readonly string[] = Object.keys(schema.shape);

/** Values that must not be shown in an error, even when they are at fault. */
const SECRET = /_KEY$|_TOKEN$|_SECRET$|^DATABASE_URL$/u;

/**
 * Reads the environment; an empty variable counts as absent.
 * Throws `config.invalid`, whose message has a line for each variable at fault: its name, the fault, an example.
 */
export function readConfig(
  environment: Readonly<Record<string, string | undefined>>,
  projectDirectory: string,
): Config {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = schema.safeParse(given);
  if (!parsed.success)
    throw invalid(parsed.error.issues.map((issue) => faultLine(String(issue.path[0]), issue.message, given)));
  const env = parsed.data;
  if (env.TWILIO_AUTH_TOKEN !== undefined && env.PUBLIC_URL === undefined) {
    throw invalid([
      'PUBLIC_URL is missing, but TWILIO_AUTH_TOKEN is set: Twilio signs its requests for the public URL, so without it no ' +
        'call could be verified; example: https://voice.example.com',
    ]);
  }
  return {
    // Without a Twilio token nobody can be told from Twilio: then only this machine is listened to unless HOST says otherwise.
    host: env.HOST ?? (env.TWILIO_AUTH_TOKEN === undefined ? '127.0.0.1' : '0.0.0.0'),
    port: env.PORT,
    mediaPort: env.MEDIA_PORT,
    publicUrl: env.PUBLIC_URL,
    logLevel: env.LOG_LEVEL,
    hedgeShare: env.HEDGE_SHARE,
    pricesFile: env.PRICES_FILE,
    maxCalls: env.MAX_CALLS,
    maxCallsPerOrganization: env.MAX_CALLS_PER_ORGANIZATION,
    agentsDirectory: `${projectDirectory}/agents`,
    migrationsDirectory: `${projectDirectory}/migrations`,
    dataDirectory: env.DATA_DIR ?? `${projectDirectory}/data`,
    databaseUrl: env.DATABASE_URL,
    authSecret: env.AUTH_SECRET,
    registration: env.REGISTRATION,
    corsOrigins: env.CORS_ORIGINS,
    trustedProxies: env.TRUSTED_PROXIES,
    apiQuotas: { readsPerMinute: env.API_READS_PER_MINUTE, writesPerMinute: env.API_WRITES_PER_MINUTE },
    twilio:
      env.TWILIO_AUTH_TOKEN === undefined
        ? undefined
        : {
            authToken: env.TWILIO_AUTH_TOKEN,
            accountSid: env.TWILIO_ACCOUNT_SID,
            apiBaseUrl: env.TWILIO_API_BASE_URL,
          },
    twilioCallsPerSecond: env.TWILIO_CALLS_PER_SECOND,
    deepgram: provider(env.DEEPGRAM_API_KEY, env.DEEPGRAM_BASE_URL),
    // A model server of one's own (Ollama, llama.cpp) has a base URL and needs no key.
    openai: provider(
      env.OPENAI_API_KEY ?? (env.OPENAI_BASE_URL === undefined ? undefined : 'none'),
      env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1',
    ),
    elevenlabs: provider(env.ELEVENLABS_API_KEY, env.ELEVENLABS_BASE_URL),
    anthropic: provider(env.ANTHROPIC_API_KEY, env.ANTHROPIC_BASE_URL),
  };
}

/** The configuration of this process: the project's `.env`, if there is one, and the environment, which wins. Throws as {@link readConfig}. */
export function loadConfig(): Config {
  const projectDirectory = findProjectDirectory();
  const dotEnv = join(projectDirectory, '.env');
  if (existsSync(dotEnv)) process.loadEnvFile(dotEnv);
  return readConfig(process.env, projectDirectory);
}

/** The nearest directory upward that holds package.json: the same from `src/` and from `dist/src/`. */
function findProjectDirectory(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  return directory;
}

function provider(apiKey: string | undefined, baseUrl: string): ProviderConfig | undefined {
  return apiKey === undefined ? undefined : { apiKey, baseUrl };
}

function faultLine(name: string, fault: string, given: Readonly<Record<string, string | undefined>>): string {
  const shown = SECRET.test(name) ? '(a secret, not shown)' : JSON.stringify(given[name]);
  return `${name}=${shown} ${fault}`;
}

function invalid(lines: readonly string[]): BvraiError {
  return new BvraiError(
    'config.invalid',
    `The configuration is wrong:\n${lines.map((line) => `  ${line}`).join('\n')}`,
  );
}
