/** The HTTP API in this process, on a database of its own, without the media side; requests are injected, not sent. */
import { sql } from 'drizzle-orm';
import { pino } from 'pino';
import type { FastifyInstance } from 'fastify';
import { buildHttp } from '../../src/control/http.ts';
import type { HttpDependencies } from '../../src/control/http.ts';
import { openPostgres } from '../../src/control/db/postgres.ts';
import { AnsweringAgents } from '../../src/control/agents/answering.ts';
import { apiDesk } from '../../src/control/calls/api-desk.ts';
import { DialTurns } from '../../src/control/calls/dial-turns.ts';
import { CallDesk } from '../../src/control/calls/desk.ts';
import { UnopenedCalls } from '../../src/control/calls/unopened.ts';
import { EventFeed } from '../../src/control/calls/feed.ts';
import type { DialRequest, TwilioRest } from '../../src/control/twilio/rest.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/core/clock.ts';
import { LOG_OPTIONS } from '../../src/core/log-options.ts';
import { silentLog } from '../../src/core/log.ts';
import { openTestDatabase } from './database.ts';
import type { TestDatabase } from './database.ts';

export const TEST_SECRET = 'a-secret-of-the-tests-that-is-long-enough';

type Api = NonNullable<HttpDependencies['api']>;

export interface TestApi {
  readonly app: FastifyInstance;
  readonly database: TestDatabase;
  readonly log: readonly Readonly<Record<string, unknown>>[];
  call(request: ApiRequest): Promise<ApiResponse>;
  /** What a query finds in an organization; on a real Postgres not even the owner of the tables sees more. */
  rows(organizationId: string, query: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** A new user with an organization of their own. */
  register(email?: string): Promise<TestAccount>;
  /** Someone with `role` in the organization of `owner`, by invitation. */
  join(owner: TestAccount, role: string): Promise<TestAccount>;
  /** A second server on the same database, with the same options but for `changed`; closed with this one. */
  another(changed?: TestApiOptions['api']): Promise<TestApi>;
  close(): Promise<void>;
}

export interface TestAccount {
  readonly email: string;
  readonly password: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly userId: string;
  readonly organizationId: string;
}

export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD' | 'OPTIONS';
  readonly url: string;
  /** A token or key for Authorization. */
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON; a string is sent as it is. */
  readonly body?: unknown;
  readonly address?: string;
}

export interface ApiResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly cookies: readonly { name: string; value: string }[];
  // Tests look into it freely.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

export interface TestApiOptions {
  readonly http?: Partial<HttpDependencies>;
  readonly api?: Partial<Api>;
  /** Default: one that takes every call at once, and has every number. Null: none. */
  readonly telephone?: null | {
    readonly twilio: Pick<TwilioRest, 'dial' | 'hasNumber'>;
    readonly callsPerSecond: number;
  };
}

const PLENTY = { requests: 1_000_000, windowS: 60 };
/** So that no limit is in the way of what is tested. */
export const NO_LIMITS: Pick<Api, 'quotas' | 'loginQuotas'> = {
  quotas: { read: PLENTY, write: PLENTY, auth: PLENTY },
  loginQuotas: { pair: PLENTY, account: PLENTY, address: PLENTY },
};
const PASSWORD = 'correct horse battery staple';

export async function startTestApi(options: TestApiOptions = {}): Promise<TestApi> {
  const database = await openTestDatabase();
  const api = await buildTestApi(database, options);
  return {
    ...api,
    async close() {
      await api.close();
      await database.close();
    },
  };
}

/** Calls can be begun here, but there is no media side: none gets a stream, and whatever is to be done with one is done. */
function callsOf(
  { door }: TestDatabase,
  clock: Clock,
  telephone: TestApiOptions['telephone'],
): Pick<Api, 'calls' | 'phoneNumbers'> & { readonly unopened: UnopenedCalls } {
  const agents = new AnsweringAgents({ door, log: silentLog, onNewAgent: () => {} });
  const desk = new CallDesk({
    recorder: { begin: () => {}, append: () => {} },
    admission: {
      check: () => {},
      untilOnTime: () => Promise.resolve(),
      ring: () => {},
      keepRinging: () => {},
      endRinging: () => {},
    },
    mintToken: ({ id }) => `token-of-${id}`,
  });
  desk.attach({ hangUp: () => true, say: () => true, transfer: () => Promise.resolve(true) });
  const done = (): Promise<void> => Promise.resolve();
  const dial = (): Promise<string> => Promise.resolve(`CA${'0'.repeat(32)}`);
  const twilio = {
    dial: (request: DialRequest) => telephone?.twilio.dial(request) ?? dial(),
    hangUp: done,
    transfer: done,
  };
  const hasNumber = (number: string): Promise<boolean> => telephone?.twilio.hasNumber(number) ?? Promise.resolve(true);
  const feed = new EventFeed(door, silentLog);
  const unopened = new UnopenedCalls({ door, desk, carrier: undefined, clock, log: silentLog });
  const turns = new DialTurns({ clock, callsPerSecond: telephone?.callsPerSecond ?? 1_000 });
  const webSocketUrl = (host: string): string => `ws://${host}/web`;
  return {
    calls: {
      desk: apiDesk({ desk, agents, unopened }),
      twilio: telephone === null ? undefined : twilio,
      turns,
      instanceId: null,
      feed,
      webSocketUrl,
    },
    phoneNumbers: { twilio: telephone === null ? undefined : { hasNumber } },
    unopened,
  };
}

/** All of it; of a stream of events what it begins with, and then the client leaves. */
async function readBody(response: Awaited<ReturnType<FastifyInstance['inject']>>): Promise<string> {
  const isEndless = response.headers['content-type']?.toString().startsWith('text/event-stream') === true;
  const chunks: Buffer[] = [];
  for await (const chunk of response.stream()) {
    chunks.push(Buffer.from(chunk));
    if (isEndless) break;
  }
  if (isEndless) response.raw.res.destroy();
  return Buffer.concat(chunks).toString('utf8');
}

let accounts = 0;

async function buildTestApi(database: TestDatabase, options: TestApiOptions): Promise<TestApi> {
  const log: Record<string, unknown>[] = [];
  const { unopened, ...calls } = callsOf(database, options.api?.clock ?? systemClock, options.telephone);
  const app = await buildHttp({
    log: pino({ level: 'debug', ...LOG_OPTIONS }, { write: (line) => log.push(JSON.parse(line)) }),
    version: 'test',
    health: {
      readiness: () => ({ database: true }),
      metrics: () => Promise.resolve({ contentType: 'text/plain', text: '' }),
    },
    ...options.http,
    api: {
      database: database.database,
      authSecret: TEST_SECRET,
      clock: systemClock,
      ...calls,
      ...NO_LIMITS,
      ...options.api,
    },
  });
  await app.ready();
  const others: TestApi[] = [];

  const call = async ({
    method = 'GET',
    url,
    token,
    headers = {},
    body,
    address,
  }: ApiRequest): Promise<ApiResponse> => {
    const response = await app.inject({
      method,
      url,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      // An answer may be a stream without end.
      payloadAsStream: true,
      ...(address === undefined ? {} : { remoteAddress: address }),
      ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const received = await readBody(response);
    const json = response.headers['content-type']?.toString().includes('json') === true && received !== '';
    return {
      status: response.statusCode,
      headers: Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, value?.toString()])),
      cookies: response.cookies,
      body: json ? JSON.parse(received) : received,
    };
  };

  const toAccount = (email: string, { status, body }: ApiResponse): TestAccount => {
    if (status >= 300) throw new Error(`no session for ${email}: ${status} ${JSON.stringify(body)}`);
    return {
      email,
      password: PASSWORD,
      accessToken: body.access_token,
      refreshToken: body.refresh_token,
      userId: body.user.id,
      organizationId: body.organization.id,
    };
  };

  return {
    app,
    database,
    log,
    call,
    rows: (organizationId, query) =>
      database.door.inTenant(organizationId, async (tx) => (await tx.execute(sql.raw(query))).rows),
    async register(email = `person-${++accounts}@example.com`) {
      const body = { email, password: PASSWORD, name: 'Person', organization_name: `Organization of ${email}` };
      return toAccount(email, await call({ method: 'POST', url: '/api/v1/auth/register', body }));
    },
    async join(owner, role) {
      const email = `${role}-${++accounts}@example.com`;
      const invited = await call({
        method: 'POST',
        url: '/api/v1/invitations',
        token: owner.accessToken,
        body: { email, role },
      });
      const body = { token: invited.body.token, password: PASSWORD, name: role };
      return toAccount(email, await call({ method: 'POST', url: '/api/v1/auth/accept-invitation', body }));
    },
    async another(changed = {}) {
      // On Postgres with sessions of its own, like a server on another machine; the embedded database has one process.
      const own = database.url === undefined ? undefined : openPostgres({ url: database.url, log: silentLog });
      const other = await buildTestApi(
        { ...database, database: own ?? database.database },
        { ...options, api: { ...options.api, ...changed } },
      );
      others.push({ ...other, close: () => other.close().then(() => own?.close()) });
      return other;
    },
    async close() {
      for (const other of others) await other.close();
      await app.close();
      unopened.close();
    },
  };
}
