/** The composition root: configuration → build → listen → drain. Holds no logic of its own. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import type { Logger } from 'pino';
import { loadConfig } from './config.ts';
import type { Config } from './config.ts';
import { loadAgents } from './control/agents/store.ts';
import type { AgentStore } from './control/agents/store.ts';
import { CallRecords } from './control/calls/records.ts';
import { buildHttp } from './control/http.ts';
import { LOCAL_MODE_REFUSAL, isLocalPeer } from './control/local-mode.ts';
import type { ExpectedCall } from './control/twilio/routes.ts';
import { systemClock } from './core/clock.ts';
import { BvraiError } from './core/errors.ts';
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
import { createEmbeddedEngines } from './pipeline/providers/embedded/index.ts';
import type { EmbeddedEngines } from './pipeline/providers/embedded/index.ts';
import { WarmSockets } from './pipeline/router/warm-pool.ts';
import { createCloudProviders } from './providers.ts';

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
const MEDIA_PATH = '/media';

/** What a stream token stands for. */
type StreamClaims = ExpectedCall;

interface Parts {
  readonly config: Config;
  readonly log: Logger;
  readonly agents: AgentStore;
  readonly calls: LiveCalls;
  readonly records: CallRecords;
  readonly metrics: Metrics;
  readonly tokens: StreamTokens<StreamClaims>;
}

/** Builds everything and listens. Throws `config.invalid` or `agent.invalid` when it cannot start, having released what it had. */
export async function startServer(config: Config, log: Logger): Promise<BvraiServer> {
  const agents = await loadAgents(config.agentsDirectory);
  const vad = await loadVad(log, { clock: systemClock });
  const embedded = createEmbeddedEngines({ log, clock: systemClock });
  const records = new CallRecords();
  const metrics = new Metrics();
  const warm = new WarmSockets({ clock: systemClock, log, onEvent: (event) => metrics.warmSocketEvent(event) });
  const cloud = createCloudProviders(config, warm);
  const providers: Providers = {
    stt: byName([embedded.stt, ...cloud.stt]),
    llm: byName([embedded.llm, ...cloud.llm]),
    tts: byName([embedded.tts, ...cloud.tts]),
    last: embedded,
  };
  const onEvent = records.append.bind(records);
  const calls = new LiveCalls({ clock: systemClock, vad, providers, metrics, log, random: Math.random, onEvent });
  const tokens = new StreamTokens<StreamClaims>({ clock: systemClock });
  const parts = { config, log, agents, calls, records, metrics, tokens };
  const state = { enginesReady: false, draining: false };
  const closeEngines = async (): Promise<void> => {
    await Promise.all([embedded.close(), vad.close(), cloud.close()]);
  };
  const listeners = await listen(parts, state).catch(async (thrown: unknown) => {
    await closeEngines();
    throw thrown;
  });
  const warming = warmUp(embedded, agents).then(
    () => (state.enginesReady = true),
    (thrown: unknown) => log.error({ err: thrown }, 'the embedded engines did not start'),
  );
  log.info(
    { port: listeners.port, mediaPort: listeners.mediaPort, host: config.host, agents: agents.all.map(({ id }) => id) },
    'listening',
  );
  for (const agent of agents.all) calls.prepare(agent);
  if (!config.twilio) log.warn({}, LOCAL_MODE_REFUSAL);

  let closing: Promise<void> | undefined;
  const close = async (graceMs: number): Promise<void> => {
    state.draining = true;
    warm.close();
    log.info({ activeCalls: calls.active, graceMs }, 'draining');
    await calls.drain(graceMs);
    calls.close();
    await listeners.close();
    await warming;
    await closeEngines();
    log.info({}, 'stopped');
  };
  return {
    port: listeners.port,
    mediaPort: listeners.mediaPort,
    get activeCalls() {
      return calls.active;
    },
    warmSockets: (provider) => warm.sizeOf(provider),
    close: (graceMs) => (closing ??= close(graceMs)),
  };
}

function byName<Provider extends { readonly name: string }>(providers: readonly Provider[]): Map<string, Provider> {
  return new Map(providers.map((provider) => [provider.name, provider]));
}

/** Loads the embedded engines and teaches them the agents' questions, so that no call waits for that. */
async function warmUp(embedded: EmbeddedEngines, agents: AgentStore): Promise<void> {
  await embedded.warm();
  for (const { questionsAndAnswers } of agents.all) await embedded.prepare(questionsAndAnswers);
}

interface Listeners {
  readonly port: number;
  readonly mediaPort: number | undefined;
  close(): Promise<void>;
}

async function listen(
  parts: Parts,
  state: { readonly enginesReady: boolean; readonly draining: boolean },
): Promise<Listeners> {
  const { config, log, metrics } = parts;
  const mediaOptions = mediaListenerOptions(parts);
  const ownPort =
    config.mediaPort === undefined
      ? undefined
      : await listenMedia({ ...mediaOptions, host: config.host, port: config.mediaPort });
  const mediaPort = ownPort?.port;
  const http = await buildHttp({
    log,
    records: parts.records,
    health: {
      readiness: () => ({ embedded_engines: state.enginesReady, accepting_calls: !state.draining }),
      metrics: () => metrics.expose(),
    },
    twilio: {
      agents: parts.agents,
      authToken: config.twilio?.authToken,
      publicUrl: config.publicUrl,
      streamUrl: (requestHost) => streamUrl(config, requestHost, mediaPort),
      expectCall: (call) => (state.draining ? undefined : expectCall(parts, call)),
    },
  });
  const shared = ownPort ? undefined : attachWsListener(http.server, mediaOptions);
  const port = await listenHttp(http, config).catch(async (thrown: unknown) => {
    await ownPort?.close();
    throw thrown;
  });
  log.info(
    { implementation: (ownPort ?? shared)?.implementation, port: mediaPort ?? port, path: MEDIA_PATH },
    'media sockets',
  );
  return {
    port,
    mediaPort,
    async close() {
      await Promise.all([ownPort?.close(), shared?.close()]);
      await http.close();
    },
  };
}

async function listenHttp(http: FastifyInstance, config: Config): Promise<number> {
  try {
    await http.listen({ host: config.host, port: config.port });
  } catch (thrown) {
    throw BvraiError.from(
      thrown,
      'config.invalid',
      `Cannot listen on ${config.host}:${config.port} (HOST, PORT; example: PORT=8080)`,
    );
  }
  const address = http.server.address();
  return typeof address === 'object' && address ? address.port : config.port;
}

/** Where the far side of a webhook reaches the media socket. */
function streamUrl(config: Config, requestHost: string, mediaPort: number | undefined): string {
  if (config.publicUrl !== undefined) return `${config.publicUrl.replace(/^http/u, 'ws')}${MEDIA_PATH}`;
  const host = mediaPort === undefined ? requestHost : `${new URL(`http://${requestHost}`).hostname}:${mediaPort}`;
  return `ws://${host}${MEDIA_PATH}`;
}

function expectCall({ agents, calls, log, tokens }: Parts, call: ExpectedCall): string | undefined {
  const agent = agents.byId(call.agentId);
  // Its stream follows in a fraction of a second, about as long as a handshake takes.
  if (agent) calls.prepare(agent);
  try {
    return tokens.mint(call);
  } catch (thrown) {
    log.error({ err: thrown, callSid: call.callSid }, 'no stream token can be given out');
    return undefined;
  }
}

function mediaListenerOptions(parts: Parts): MediaListenerOptions {
  const { config, log } = parts;
  const authoriseUpgrade = config.twilio
    ? upgradeSignatureCheck({ authToken: config.twilio.authToken, publicUrl: config.publicUrl ?? '' })
    : onlyLocal;
  return {
    clock: systemClock,
    log,
    routes: [{ path: MEDIA_PATH, authoriseUpgrade, onSocket: (socket) => serveCall(parts, socket) }],
  };
}

function onlyLocal({ remoteAddress, headers }: UpgradeRequest): UpgradeVerdict {
  return isLocalPeer({ remoteAddress, hasHeader: (name) => headers.has(name) })
    ? { ok: true }
    : { ok: false, status: 403, reason: LOCAL_MODE_REFUSAL };
}

/** One media socket: its token says which call and which agent it belongs to. */
function serveCall({ agents, calls, records, metrics, tokens, log }: Parts, socket: MediaSocket): MediaSocketHandler {
  let claims: StreamClaims | undefined;
  return serveTwilioStream(socket, {
    clock: systemClock,
    log,
    authorise: ({ callSid, customParameters }) => {
      const redeemed = tokens.redeem(customParameters['token'] ?? '', callSid);
      if (redeemed.ok) {
        claims = redeemed.claims;
        return { ok: true };
      }
      metrics.streamRefused(redeemed.reason);
      return { ok: false, reason: `stream token ${redeemed.reason}` };
    },
    accept: (port) => {
      const agent = claims && agents.byId(claims.agentId);
      if (!claims || !agent) throw new BvraiError('agent.unknown', 'The agent of this call is gone.');
      const { callSid, direction, from, to } = claims;
      records.begin({
        id: callSid,
        agentId: agent.id,
        agentVersion: agent.version,
        direction,
        from,
        to,
        startedAt: new Date(),
      });
      return calls.start(port, agent, log.child({ callSid, agent: agent.id }));
    },
    onStats: (stats) => metrics.mediaFaults(stats.faults),
  });
}

/** The command: reads `.env` and the environment, serves until SIGTERM or SIGINT, then drains. */
async function main(): Promise<void> {
  const config = loadConfig();
  const log = pino({ level: config.logLevel, base: null });
  const server = await startServer(config, log);
  const stop = (signal: NodeJS.Signals): void => {
    // A second signal means now.
    process.once(signal, () => process.exit(1));
    server.close(DRAIN_GRACE_MS).then(
      () => process.exit(0),
      (thrown: unknown) => {
        log.fatal({ err: thrown }, 'could not stop cleanly');
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

const invokedAs = process.argv[1];
if (invokedAs !== undefined && realpathSync(invokedAs) === fileURLToPath(import.meta.url)) {
  main().catch((thrown: unknown) => {
    const error = BvraiError.from(thrown);
    process.stderr.write(`bvrai cannot start (${error.code}). ${error.message}\n`);
    process.exit(1);
  });
}
