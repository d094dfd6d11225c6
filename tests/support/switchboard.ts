/** A whole server as it runs in production: an account, an agent with a number, and the vendors and Twilio emulated. */
import { z } from 'zod';
import { startTwilioEmulator } from '../../bench/emulators/twilio.ts';
import type { TwilioEmulator } from '../../bench/emulators/twilio.ts';
import { Phone } from '../../bench/phone/phone.ts';
import type { RingOptions } from '../../bench/phone/phone.ts';
import { twilioSignature } from '../../bench/phone/voice-webhook.ts';
import { startEmulatedCloud } from './cloud.ts';
import type { CloudSettings, EmulatedCloud } from './cloud.ts';
import { startTestServer } from './server.ts';
import type { TestServer } from './server.ts';
import { fixtureAudio } from './speech-fixtures.ts';

/** What Twilio believes to talk to; here that is this machine. */
export const PUBLIC_URL = 'https://voice.example.com';
export const AUTH_TOKEN = 'twilio-auth-token';
export const NUMBER = '+15550100';
export const CALLER = '+15550199';

const PASSWORD = 'correct horse battery staple';
const WRITTEN_MS = 15_000;

const created = z.looseObject({ id: z.string() });
const session = z.looseObject({ access_token: z.string() });
const callRecord = z.looseObject({
  id: z.string(),
  status: z.string(),
  end_reason: z.string().nullable(),
  twilio_call_sid: z.string().nullable(),
  messages: z.array(
    z.looseObject({
      role: z.string(),
      text: z.string(),
      heard_text: z.string(),
      at_ms: z.number(),
      details: z.looseObject({}),
    }),
  ),
  turns: z.array(z.looseObject({ voice_to_voice_ms: z.number().nullable(), stages: z.record(z.string(), z.number()) })),
  events: z.array(z.looseObject({ type: z.string(), at_ms: z.number() })),
});
export type CallRecord = z.infer<typeof callRecord>;

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  // Tests look into it freely.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

export interface ApiOptions {
  /** Null: nobody. Default: the owner of the account. */
  readonly bearer?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Started by {@link Switchboard.start}; whoever starts it closes it. */
export class Switchboard {
  readonly server: TestServer;
  readonly cloud: EmulatedCloud;
  readonly twilio: TwilioEmulator;
  /** Of the server; another one with it is its neighbour, if the database can have two. */
  readonly environment: Readonly<Record<string, string>>;
  /** Of the owner of the account. */
  token = '';
  /** The agent that answers {@link NUMBER}. */
  agentId = '';
  readonly #phones: Phone[] = [];
  readonly #recognised: string[];

  /** `agent`: as for `POST /agents`. `more`: for the server's environment. */
  static async start(
    agent: object,
    settings: CloudSettings = {},
    more: Readonly<Record<string, string>> = {},
  ): Promise<Switchboard> {
    const recognised: string[] = [];
    const cloud = await startEmulatedCloud({
      elevenlabs: { firstAudioMs: 20 },
      ...settings,
      // Sounds that nobody announced are noise: nothing is recognised in them.
      deepgram: { transcripts: () => recognised.shift() ?? '', finalDelayMs: 50, ...settings.deepgram },
    });
    const twilio = await startTwilioEmulator();
    const environment = {
      ...cloud.environment,
      HOST: '127.0.0.1',
      PUBLIC_URL,
      TWILIO_AUTH_TOKEN: AUTH_TOKEN,
      TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`,
      TWILIO_API_BASE_URL: twilio.url,
      // No test waits for its turn.
      TWILIO_CALLS_PER_SECOND: '100',
      ...more,
    };
    const server = await startTestServer({ agents: {}, environment });
    const board = new Switchboard({ server, cloud, twilio, environment }, recognised);
    board.token = await board.register('ada@example.com');
    board.agentId = await board.create('/agents', agent);
    await board.create('/phone-numbers', { number: NUMBER, agent_id: board.agentId });
    return board;
  }

  private constructor(parts: Pick<Switchboard, 'server' | 'cloud' | 'twilio' | 'environment'>, recognised: string[]) {
    this.server = parts.server;
    this.cloud = parts.cloud;
    this.twilio = parts.twilio;
    this.environment = parts.environment;
    this.#recognised = recognised;
  }

  async api(method: string, path: string, body?: object, options: ApiOptions = {}): Promise<ApiAnswer> {
    const bearer = options.bearer === undefined ? this.token : options.bearer;
    const response = await fetch(`${this.server.url}/api/v1${path}`, {
      method,
      headers: {
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  }

  /** Makes something, and returns its id. */
  async create(path: string, body: object): Promise<string> {
    const answer = await this.api('POST', path, body);
    if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return created.parse(answer.body).id;
  }

  /** Somebody with an organization of their own; the access token. */
  async register(email: string): Promise<string> {
    const body = { email, password: PASSWORD, name: 'Ada', organization_name: 'Harbour View' };
    return session.parse((await this.api('POST', '/auth/register', body, { bearer: null })).body).access_token;
  }

  /** Posts a webhook as Twilio does. `url`: a path of this server, or the whole address that Twilio was given. */
  async hook(url: string, form: Readonly<Record<string, string>>, authToken = AUTH_TOKEN): Promise<ApiAnswer> {
    const path = url.replace(PUBLIC_URL, '');
    const response = await fetch(`${this.server.url}${path}`, {
      method: 'POST',
      body: new URLSearchParams(form),
      headers: { 'x-twilio-signature': twilioSignature(authToken, `${PUBLIC_URL}${path}`, form) },
    });
    return { status: response.status, headers: response.headers, body: await response.text() };
  }

  /** Someone calls {@link NUMBER}, through a carrier that signs as Twilio does. */
  async ring(options: Partial<RingOptions> = {}): Promise<Phone> {
    const { url: serverUrl } = this.server;
    const line = { serverUrl, publicUrl: PUBLIC_URL, authToken: AUTH_TOKEN, from: CALLER, to: NUMBER };
    return this.keep(await Phone.ring({ ...line, ...options }));
  }

  /** Hangs up with the others at the end of a test. */
  keep(phone: Phone): Phone {
    this.#phones.push(phone);
    return phone;
  }

  /** The caller says something, and the recogniser understands `text`. */
  async say(phone: Phone, text: string): Promise<void> {
    this.#recognised.push(text);
    await phone.say(fixtureAudio('cards-001.wav').mulaw());
  }

  /** Until the agent has said what it has to say. On a machine that is busy its speech has gaps, which are not its end. */
  listen(phone: Phone): Promise<void> {
    return phone.waitForAgent({ silenceMs: 800, timeoutMs: 30_000 });
  }

  /** The record of a call by its id or Twilio's sid, once it has ended. */
  async ended(name: string): Promise<CallRecord> {
    const endMs = performance.now() + WRITTEN_MS;
    for (;;) {
      const { status, body } = await this.api('GET', `/calls/${name}`);
      if (status === 200 && body.end_reason !== null) return callRecord.parse(body);
      if (performance.now() > endMs)
        throw new Error(`call ${name} has not ended in the records: ${JSON.stringify(body)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async hangUpAll(): Promise<void> {
    await Promise.all(this.#phones.splice(0).map((phone) => phone.hangUp()));
    this.#recognised.length = 0;
  }

  async close(): Promise<void> {
    await this.hangUpAll();
    await this.server.close();
    await Promise.all([this.cloud.close(), this.twilio.close()]);
  }
}
