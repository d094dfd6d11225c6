/** The composition root: configuration → build → listen → drain. Holds no logic of its own. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import type { Logger } from 'pino';
import { SESSIONS_OF_CALLS, listenHttp, placeApi, twilioAccount } from './api-place.ts';
import { loadConfig } from './config.ts';
import type { Config } from './config.ts';
import { Admission } from './control/admission.ts';
import type { AdmissionOptions } from './control/admission.ts';
import { AnsweringAgents } from './control/agents/answering.ts';
import { readAgentFiles } from './control/agents/files.ts';
import { loadAuthSecret } from './control/auth/secrets.ts';
import { apiDesk } from './control/calls/api-desk.ts';
import { AwaitedCalls } from './control/calls/awaited.ts';
import { CallDesk } from './control/calls/desk.ts';
import type { ExpectedCall } from './control/calls/desk.ts';
import { UnopenedCalls } from './control/calls/unopened.ts';
import { variablesOf } from './control/calls/variables.ts';
import { buildHttp } from './control/http.ts';
import { LOCAL_MODE_REFUSAL, isLocalPeer } from './control/local-mode.ts';
import { openLocalOrganization } from './control/local-organization.ts';
import type { LocalOrganization } from './control/local-organization.ts';
import { openRecords } from './control/records.ts';
import type { Records } from './control/records.ts';
import { TwilioRest } from './control/twilio/rest.ts';
import { MEDIA_PATH, WEB_PATH, socketUrl } from './control/twilio/socket-url.ts';
import { systemClock } from './core/clock.ts';
import { Closers } from './core/closers.ts';
import { BvraiError } from './core/errors.ts';
import { LOG_OPTIONS } from './core/log-options.ts';
import { listenMedia } from './media/socket/listen-media.ts';
import type {
  MediaListenerOptions,
  MediaSocket,
  MediaSocketHandler,
  UpgradeRequest,
  UpgradeVerdict,
} from './media/socket/socket.ts';
import { attachWsListener } from './media/socket/ws-listener.ts';
import { upgradeSignatureCheck } from './media/twilio/signature.ts';
import { serveTwilioStream } from './media/twilio/stream.ts';
import { StreamTokens } from './media/twilio/tokens.ts';
import { loadVad } from './media/vad/load.ts';
import { LiveCalls } from './pipeline/calls.ts';
import type { Providers } from './pipeline/calls.ts';
import { Metrics } from './pipeline/metrics/metrics.ts';
import type { QuestionAndAnswer } from './pipeline/ports.ts';
import { createEmbeddedEngines } from './pipeline/providers/embedded/index.ts';
import { WarmSockets } from './pipeline/router/warm-pool.ts';
import { createCloudProviders } from './providers.ts';
import type { CloudProviders } from './providers.ts';

/** A running server. */
export interface BvraiServer {
  /** The port it listens on (asked for, or chosen if 0 was). */
  readonly port: number;
  /** The media sockets' own port, when they have one. */
  readonly mediaPort: number | undefined;
  readonly activeCalls: number;
  /** Sockets to a provider that are open, or opening, for calls to come. */
  warmSockets(provider: string): number;
  /** Takes no more calls, lets those in progress end within `graceMs`, and releases everything. Idempotent. */
  close(graceMs: number): Promise<void>;
}

/** How long calls may go on after SIGTERM. */
const DRAIN_GRACE_MS = 60_000;
/** How long a call whose webhook was answered may take to open its stream. */
const ARRIVALS_GRACE_MS = 3_000;
/** How long their last records may take to get into the database; what does not waits on disk. */
const RECORDS_GRACE_MS = 5_000;
const OPEN_REGISTRATION =
  'Anybody who reaches this server can make an account and ring telephones at your expense. Make your own, then set REGISTRATION=closed.';

interface Parts {
  readonly config: Config;
  readonly log: Logger;
  readonly authSecret: string;
  readonly records: Records;
  readonly agents: AnsweringAgents;
  readonly local: LocalOrganization | undefined;
  readonly desk: CallDesk;
  readonly awaited: AwaitedCalls;
  readonly twilio: TwilioRest | undefined;
  readonly calls: LiveCalls;
  readonly metrics: Metrics;
  readonly tokens: StreamTokens<StreamClaims>;
  readonly readiness: () => Readonly<Record<string, boolean>>;
}

/** What a stream token stands for. */
type StreamClaims = ExpectedCall & {
  readonly agentId: string;
  /** Gives up the place that was kept for the call (admission.ts). */
  readonly arrived: () => void;
};

export interface StartOptions {
  /** Called once, when the process has nearly used up its memory: it should be closed and started anew. */
  readonly onExhausted?: () => void;
}

/** Builds everything and listens. Throws `config.invalid`, `agent.invalid` or `db.…` when it cannot start, having released what it had. */
export async function startServer(config: Config, log: Logger, options: StartOptions = {}): Promise<BvraiServer> {
  // onnxruntime's own builds report to their maker unless told not to before they load, and leave an identifier in the user's cache folder.
  process.env['ORT_DISABLE_TELEMETRY'] = '1';
  const closers = new Closers();
  try {
    return await start(config, log, options, closers);
  } catch (thrown) {
    await closers.close().catch((err: unknown) => log.error({ err }, 'not all that was begun could be ended'));
    throw thrown;
  }
}

async function start(config: Config, log: Logger, options: StartOptions, closers: Closers): Promise<BvraiServer> {
  // Where nobody can be authenticated by Twilio, the server begins with agents of its own.
  const files = config.twilio ? [] : await readAgentFiles(config.agentsDirectory);
  const { embedded, warming, notPrepared } = startEngines(log, closers);
  const state = { enginesReady: false };
  const vad = await loadVad(log, { clock: systemClock });
  closers.add(() => vad.close());
  const records = await openRecords({ ...config, log, poolSize: SESSIONS_OF_CALLS });
  closers.add(() => records.close(RECORDS_GRACE_MS));
  const { door, recorder } = records;
  const authSecret = await loadAuthSecret(config.authSecret, config.dataDirectory, log);

  const metrics = new Metrics();
  metrics.observeRecords(() => recorder.status);
  const warm = new WarmSockets({ clock: systemClock, log, onEvent: (event) => metrics.warmSocketEvent(event) });
  closers.add(() => warm.close());
  const cloud = createCloudProviders(config, warm);
  closers.add(() => cloud.close());
  const providers = providersOf(embedded, cloud);
  const tokens = new StreamTokens<StreamClaims>({ clock: systemClock });
  const twilio = twilioRest(config);
  const { onExhausted } = options;
  const limits = limitsOf(config, () => ({ calls, desk }));
  const admission = new Admission({ clock: systemClock, log, ...limits, onExhausted });
  closers.add(() => admission.close());
  metrics.observeAdmission(() => admission.closedBecause === undefined);
  const mintToken = (call: ExpectedCall): string => {
    // Its stream follows in a fraction of a second, about as long as a handshake takes.
    calls.prepare(call.agent);
    return tokens.mint({ ...call, agentId: call.agent.id, arrived: admission.expect(call) });
  };
  const desk: CallDesk = new CallDesk({ recorder, admission, mintToken });
  const { onEvent } = desk;
  const { hedgeShare } = config;
  const common = { clock: systemClock, log, metrics, random: Math.random };
  const calls: LiveCalls = new LiveCalls({ ...common, vad, providers, hedgeShare, control: twilio, onEvent });
  closers.add(() => calls.close());
  desk.attach(calls);
  const awaited = new AwaitedCalls({ recorder, desk, clock: systemClock, log });
  closers.add(() => awaited.close());
  const agents = new AnsweringAgents({
    door,
    log,
    // So that the first question of its first call need not wait for that.
    onNewAgent: (agent) => {
      calls.prepare(agent);
      warming.then(() => embedded.prepare(agent.questionsAndAnswers)).catch(notPrepared);
    },
  });
  const local = config.twilio ? undefined : await openLocalOrganization(door, config.dataDirectory, files, log);
  const known = await questionsOf(local, agents);
  // Ready when no first question of a seeded agent has to wait any more.
  warming.then(() => embedded.prepare(known)).then(() => (state.enginesReady = true), notPrepared);

  const readiness = (): Record<string, boolean> => ({
    embedded_engines: state.enginesReady,
    database: records.isDatabaseReady,
    accepting_calls: admission.closedBecause === undefined,
  });
  const parts = {
    config,
    log,
    authSecret,
    records,
    agents,
    local,
    desk,
    awaited,
    twilio,
    calls,
    metrics,
    tokens,
    readiness,
  };
  const listeners = await listen(parts, closers);
  admission.watch();
  sayListening(parts, listeners);
  return serverOf(listeners, { log, admission, calls, warm }, closers);
}

/** How many calls at once. `live` is asked only once all is built. */
function limitsOf(
  { maxCalls, maxCallsPerOrganization: maxOfOne }: Config,
  live: () => Pick<Parts, 'calls' | 'desk'>,
): Pick<AdmissionOptions, 'maxCalls' | 'activeCalls' | 'perOrganization'> {
  const activeCallsOf = (orgId: string): number => {
    const { calls, desk } = live();
    return calls.activeIds.filter((id) => desk.organizationOf(id) === orgId).length;
  };
  const perOrganization = maxOfOne === undefined ? undefined : { maxCalls: maxOfOne, activeCalls: activeCallsOf };
  return { maxCalls, activeCalls: () => live().calls.active, perOrganization };
}

/** Starts the embedded engines, which takes seconds; whoever needs them waits for `warming`. */
function startEngines(log: Logger, closers: Closers) {
  const embedded = createEmbeddedEngines({ log, clock: systemClock });
  const warming = embedded.warm();
  // What is still being done when they are closed fails, which is nobody's fault.
  let closing = false;
  const warmed = warming.catch((thrown: unknown) => {
    if (!closing) log.error({ err: thrown }, 'the embedded engines did not start');
  });
  closers.add(() => warmed);
  // Ends the warming, too.
  closers.add(() => {
    closing = true;
    return embedded.close();
  });
  const notPrepared = (thrown: unknown): void => {
    if (!closing) log.warn({ err: thrown }, 'questions were not prepared');
  };
  return { embedded, warming, notPrepared };
}

/** What operators see of a start that went well, and what they should not overlook. */
function sayListening({ config, log, local }: Parts, ports: Ports): void {
  log.info({ ...ports, host: config.host, agents: [...(local?.agentIds.keys() ?? [])] }, 'listening');
  if (!config.twilio) log.warn({}, LOCAL_MODE_REFUSAL);
  else if (config.registration === 'open') log.warn({}, OPEN_REGISTRATION);
}

interface Drained {
  readonly log: Logger;
  readonly admission: Admission;
  readonly calls: LiveCalls;
  readonly warm: WarmSockets;
}

function serverOf(listeners: Ports, { log, admission, calls, warm }: Drained, closers: Closers): BvraiServer {
  let closing: Promise<void> | undefined;
  const drain = async (graceMs: number): Promise<void> => {
    const startedMs = systemClock.nowMs();
    admission.drain();
    log.info({ activeCalls: calls.active, graceMs }, 'draining');
    await admission.untilNoneExpected(Math.min(graceMs, ARRIVALS_GRACE_MS));
    warm.close();
    await calls.drain(Math.max(0, graceMs - (systemClock.nowMs() - startedMs)));
    await closers.close();
    log.info({}, 'stopped');
  };
  return {
    ...listeners,
    get activeCalls() {
      return calls.active;
    },
    warmSockets: (provider) => warm.sizeOf(provider),
    close: (graceMs) => (closing ??= drain(graceMs)),
  };
}

/** What the agents of local mode can be asked. */
async function questionsOf(
  local: LocalOrganization | undefined,
  agents: AnsweringAgents,
): Promise<readonly QuestionAndAnswer[]> {
  if (!local) return [];
  const found = await Promise.all([...local.agentIds.values()].map((id) => agents.prepare(local.orgId, id)));
  return found.flatMap((answering) => answering?.agent.questionsAndAnswers ?? []);
}

/** Undefined: calls are only taken. */
function twilioRest(config: Config): TwilioRest | undefined {
  const account = twilioAccount(config);
  return account && new TwilioRest(account);
}

function providersOf(embedded: Providers['last'], cloud: CloudProviders): Providers {
  return {
    stt: byName([embedded.stt, ...cloud.stt]),
    llm: byName([embedded.llm, ...cloud.llm]),
    tts: byName([embedded.tts, ...cloud.tts]),
    last: embedded,
  };
}

function byName<Provider extends { readonly name: string }>(providers: readonly Provider[]): Map<string, Provider> {
  return new Map(providers.map((provider) => [provider.name, provider]));
}

interface Ports {
  readonly port: number;
  readonly mediaPort: number | undefined;
}

async function listen(parts: Parts, closers: Closers): Promise<Ports> {
  const { config, log, metrics, records, agents, desk, awaited, twilio, local } = parts;
  const { door } = records;
  const mediaOptions = mediaListenerOptions(parts);
  const ownPort =
    config.mediaPort === undefined
      ? undefined
      : await listenMedia({ ...mediaOptions, host: config.host, port: config.mediaPort });
  closers.add(() => ownPort?.close());
  const mediaPort = ownPort?.port;
  const { publicUrl } = config;
  const unopened = new UnopenedCalls({ door, desk, carrier: twilio, clock: systemClock, log });
  closers.add(() => unopened.close());
  unopened.sweep(records.instanceId);
  const api = await placeApi({ ...parts, desk: apiDesk({ desk, agents, unopened }), mediaPort });
  const { elsewhere } = api;
  closers.add(() => elsewhere?.close());
  const http = await buildHttp({
    log,
    corsOrigins: config.corsOrigins,
    trustedProxies: config.trustedProxies,
    health: { readiness: parts.readiness, metrics: () => metrics.expose() },
    api: api.here,
    twilio: {
      authToken: config.twilio?.authToken,
      publicUrl,
      door,
      agents,
      desk,
      awaited,
      rest: twilio,
      local,
      streamUrl: (requestHost) => socketUrl({ publicUrl, requestHost, mediaPort, path: MEDIA_PATH }),
    },
  });
  closers.add(() => http.close());
  elsewhere?.attach(http.server);
  // Before the server, whose end would cut off its answers.
  closers.add(() => elsewhere?.close());
  const shared = ownPort ? undefined : attachWsListener(http.server, mediaOptions);
  closers.add(() => shared?.close());
  const port = await listenHttp({ http, api: elsewhere, log, config }, closers);
  log.info(
    { implementation: (ownPort ?? shared)?.implementation, port: mediaPort ?? port, paths: [MEDIA_PATH, WEB_PATH] },
    'media sockets',
  );
  return { port, mediaPort };
}

function mediaListenerOptions(parts: Parts): MediaListenerOptions {
  const { config, log } = parts;
  const signed = config.twilio
    ? upgradeSignatureCheck({ authToken: config.twilio.authToken, publicUrl: config.publicUrl ?? '' })
    : onlyLocal;
  // A browser cannot sign: its token, which the API gave to somebody who was known, is what counts.
  const web = config.twilio ? undefined : onlyLocal;
  const onSocket = (socket: MediaSocket): MediaSocketHandler => serveCall(parts, socket);
  return {
    clock: systemClock,
    log,
    routes: [
      { path: MEDIA_PATH, authoriseUpgrade: signed, onSocket },
      { path: WEB_PATH, authoriseUpgrade: web, onSocket },
    ],
  };
}

function onlyLocal({ remoteAddress, headers }: UpgradeRequest): UpgradeVerdict {
  return isLocalPeer({ remoteAddress, header: (name) => headers.get(name) })
    ? { ok: true }
    : { ok: false, status: 403, reason: LOCAL_MODE_REFUSAL };
}

/** One media socket: its token says which call and which agent it belongs to. */
function serveCall({ calls, desk, awaited, metrics, tokens, log }: Parts, socket: MediaSocket): MediaSocketHandler {
  let claims: StreamClaims | undefined;
  return serveTwilioStream(socket, {
    clock: systemClock,
    log,
    authorise: ({ callSid, customParameters }) => {
      const redeemed = tokens.redeem(customParameters['token'] ?? '', callSid);
      if (!redeemed.ok) {
        metrics.streamRefused(redeemed.reason);
        return { ok: false, reason: `stream token ${redeemed.reason}` };
      }
      if (redeemed.claims.channel !== (socket.upgrade.path.startsWith(WEB_PATH) ? 'web' : 'phone')) {
        return { ok: false, reason: 'stream token of another channel' };
      }
      claims = redeemed.claims;
      return { ok: true };
    },
    accept: (port) => {
      if (!claims) throw new BvraiError('agent.unknown', 'This stream has no token.');
      claims.arrived();
      desk.begin(claims);
      awaited.begun(claims.callSid);
      const { agent, callSid, id } = claims;
      const callLog = log.child({ callSid, call: id, agent: agent.id });
      return calls.start(port, { id, agent, variables: variablesOf(claims, new Date()) }, callLog);
    },
    onStats: (stats) => metrics.mediaFaults(stats.faults),
  });
}

/** The command: reads `.env` and the environment, serves until SIGTERM, SIGINT or the end of its memory, then drains. */
async function main(): Promise<void> {
  const config = loadConfig();
  const log = pino({ level: config.logLevel, ...LOG_OPTIONS });
  const end = (exitCode: number): void => {
    const ended = (server: BvraiServer): Promise<never> =>
      server.close(DRAIN_GRACE_MS).then(
        () => process.exit(exitCode),
        (thrown: unknown) => {
          log.fatal({ err: thrown }, 'could not stop cleanly');
          process.exit(1);
        },
      );
    // What did not start says so below.
    starting.then(ended, () => {});
  };
  const stop = (signal: NodeJS.Signals): void => {
    // A second signal means now.
    process.once(signal, () => process.exit(1));
    end(0);
  };
  // Before the start, for the first process of a container gets only the signals that it listens to.
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  // Whoever watches the process starts it again.
  const starting = startServer(config, log, { onExhausted: () => end(1) });
  await starting;
}

const invokedAs = process.argv[1];
if (invokedAs !== undefined && realpathSync(invokedAs) === fileURLToPath(import.meta.url)) {
  main().catch((thrown: unknown) => {
    const error = BvraiError.from(thrown);
    process.stderr.write(`bvrai cannot start (${error.code}). ${error.message}\n`);
    process.exit(1);
  });
}
