/** The live calls of this process: makes a session for each, counts them, and drains them when the server stops. */
import type { Clock } from '../core/clock.ts';
import { BvraiError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { CallListener, CallPort } from '../media/call-port.ts';
import type { VadEngine } from '../media/vad/vad.ts';
import type { CallEvent } from './events.ts';
import type { Metrics } from './metrics/metrics.ts';
import type { AgentConfig, CallControl, LiveCallControl, RouteEntry } from './ports.ts';
import type { LlmProvider, SttProvider, TtsProvider } from './providers/spec.ts';
import { EmergencySpeech } from './router/emergency-speech.ts';
import { ProvidersHealth } from './router/health.ts';
import { keptSpeech } from './router/kept-speech.ts';
import type { KeptVoice } from './router/kept-speech.ts';
import { llmProbe } from './router/llm-probe.ts';
import { llmRoute } from './router/llm-route.ts';
import { resolveRoute } from './router/route.ts';
import type { Candidate } from './router/route.ts';
import { sttProbe, ttsProbe } from './router/speech-probes.ts';
import { SpeechCache, cachedSpeech } from './router/speech-cache.ts';
import { sttRoute } from './router/stt-route.ts';
import { ttsRoute } from './router/tts-route.ts';
import { emergencyPieces } from './session/phrases.ts';
import { CallSession } from './session/session.ts';
import { sttRequestOf, ttsRequestOf } from './session/stream-requests.ts';
import { fillAgent } from './session/variables.ts';
import { UsageLedger } from './usage.ts';

/** The providers of this process, by the names that agents' routes use, and the embedded ones that stand last in every route. */
export interface Providers {
  readonly stt: ReadonlyMap<string, SttProvider>;
  readonly llm: ReadonlyMap<string, LlmProvider>;
  readonly tts: ReadonlyMap<string, TtsProvider>;
  readonly last: { readonly stt: SttProvider; readonly llm: LlmProvider; readonly tts: TtsProvider };
}

export interface LiveCallsDependencies {
  readonly clock: Clock;
  readonly vad: VadEngine;
  readonly providers: Providers;
  readonly metrics: Metrics;
  /** For what concerns the process, not one call. */
  readonly log: Log;
  /** Uniform in [0, 1): draws among weighted providers, and spreads probes. */
  readonly random: () => number;
  /** How many of the requests to providers may be doubled, at most; 0: none. */
  readonly hedgeShare?: number | undefined;
  /** Absent: nobody can transfer a call. */
  readonly control?: CallControl | undefined;
  /** Takes every event of every call, in order. Must not throw or block. */
  readonly onEvent: (callId: string, event: CallEvent) => void;
}

interface Routes {
  readonly stt: SttProvider;
  readonly llm: LlmProvider;
  readonly tts: TtsProvider;
  /** Speaks what is to be kept for an emergency. */
  readonly emergency: TtsProvider;
  readonly voices: readonly KeptVoice[];
}

/** A call whose wire has started. */
export interface StartedCall {
  /** Names it to whoever takes its events: of one CallSid there can be two streams. */
  readonly id: string;
  readonly agent: AgentConfig;
  /** What `{{name}}` in the agent's texts stands for in it. */
  readonly variables: Readonly<Record<string, string>>;
}

/** Of a call whose server dies, what it used since it was last told is not known; each time writes a line. */
const TELL_USAGE_EVERY_MS = 10_000;
/** How long the farewell of a call that is drained may take. */
const FAREWELL_MS = 8_000;

export class LiveCalls implements LiveCallControl {
  readonly #deps: LiveCallsDependencies;
  /** With the names of each call: one CallSid may open a second stream while the first is ending. */
  readonly #sessions = new Map<CallSession, { readonly id: string; readonly callSid: string }>();
  /**
   * Calls that their operator is connecting to another number. Their streams may end before it has answered: whether that was the
   * transfer or the caller hung up, only the answer tells.
   */
  readonly #leaving = new Map<string, ((isTransferred: boolean) => void)[]>();
  readonly #routes = new WeakMap<AgentConfig, Routes>();
  readonly #health: ProvidersHealth;
  readonly #emergency: EmergencySpeech;
  /** Fixed phrases, once spoken. */
  readonly #speech: SpeechCache;
  #onIdle: (() => void) | undefined;
  /** How many there were; the number of the newest. */
  #streams = 0;

  constructor(deps: LiveCallsDependencies) {
    this.#deps = deps;
    const { clock, log, random, hedgeShare, metrics, vad } = deps;
    const onEvent = metrics.providerEvent.bind(metrics);
    this.#emergency = new EmergencySpeech({ clock, log });
    this.#speech = new SpeechCache(undefined, this.#emergency.cache);
    this.#health = new ProvidersHealth({ clock, log, random, hedgeShare, onEvent });
    metrics.observeProviders(() => this.#health.snapshot());
    metrics.observeVoiceActivity(() => vad.droppedWindows);
  }

  get active(): number {
    return this.#sessions.size;
  }

  /** The ids of the calls in progress. */
  get activeIds(): string[] {
    return [...this.#sessions.values()].map(({ id }) => id);
  }

  /** Takes a call whose wire has started. */
  start(port: CallPort, { id, agent, variables }: StartedCall, log: Log): CallListener {
    const { clock, vad, metrics, onEvent } = this.#deps;
    const { callSid } = port.info;
    const { control } = this.#deps;
    const { agent: speaking, greetsAlike, unknown } = fillAgent(agent, variables);
    if (unknown.length > 0)
      log.warn({ variables: unknown }, 'the agent uses variables that have no value in this call');
    const usage = new UsageLedger();
    const tell = tellingUsage({ usage, stream: ++this.#streams, clock }, (event) => {
      metrics.callEvent(event);
      logEvent(log, event);
      onEvent(id, event);
    });
    const session = new CallSession(port, speaking, {
      clock,
      log,
      vad,
      greetsAlike,
      usage,
      ...this.#routesOf(agent, log),
      onEvent: (event) => {
        const ends = event.type === 'call-ended' ? this.#leaving.get(callSid) : undefined;
        if (ends) ends.push((isTransferred) => tell(isTransferred ? asTransferred(event) : event));
        else tell(event);
      },
      transfer: control && ((to) => control.transfer(callSid, to)),
      onReleased: () => this.#released(session),
    });
    this.#sessions.set(session, { id, callSid });
    metrics.callStarted();
    session.start();
    const { emergency, voices } = this.#routesOf(agent, log);
    this.#emergency.keep({ agent, pieces: emergencyPieces(agent), voices, tts: emergency });
    return session;
  }

  hangUp(callSid: string): boolean {
    return this.#forEachOf(callSid, (session) => session.end('agent-hung-up'));
  }

  say(callSid: string, text: string): boolean {
    return this.#forEachOf(callSid, (session) => session.say(text));
  }

  async transfer(callSid: string, to: string): Promise<boolean> {
    const { control } = this.#deps;
    if (!control || ![...this.#sessions.values()].some((call) => call.callSid === callSid)) return false;
    if (this.#leaving.has(callSid)) throw new BvraiError('conflict', 'The call is being transferred already.');
    const ends: ((isTransferred: boolean) => void)[] = [];
    let isTransferred = false;
    this.#leaving.set(callSid, ends);
    try {
      await control.transfer(callSid, to);
      isTransferred = true;
    } finally {
      this.#leaving.delete(callSid);
      for (const tell of ends) tell(isTransferred);
    }
    this.#forEachOf(callSid, (session) => session.end('transferred'));
    return true;
  }

  #forEachOf(callSid: string, act: (session: CallSession) => void): boolean {
    const ofCall = [...this.#sessions].filter(([, call]) => call.callSid === callSid);
    for (const [session] of ofCall) act(session);
    return ofCall.length > 0;
  }

  /** A call with this agent may begin soon: whom it would ask first are connected to. */
  prepare(agent: AgentConfig): void {
    const { log } = this.#deps;
    const { stt, llm, tts } = this.#routesOf(agent, log);
    const always = (): boolean => true;
    const stages = {
      stt: () => stt.prewarm?.(sttRequestOf(agent), always),
      llm: () => llm.prewarm?.({}, always),
      tts: () => tts.prewarm?.(ttsRequestOf(agent), always),
    };
    for (const [stage, prewarm] of Object.entries(stages)) {
      try {
        prewarm();
      } catch (thrown) {
        const { code, message } = BvraiError.from(thrown);
        log.warn({ agent: agent.id, stage, code, reason: message }, 'provider cannot be prepared');
      }
    }
  }

  /**
   * Waits until the calls in progress have ended by themselves; after `graceMs` their agents say goodbye and hang up, and
   * what is still there after that is cut off.
   */
  async drain(graceMs: number): Promise<void> {
    if (await this.#idleWithin(graceMs)) return;
    for (const session of this.#sessions.keys()) session.leave();
    if (await this.#idleWithin(FAREWELL_MS)) return;
    for (const session of this.#sessions.keys()) session.end('server-shutdown');
  }

  /** Ends what outlives calls: probes of providers, and speech that is being kept. After `drain`. */
  close(): void {
    this.#emergency.close();
    this.#health.close();
  }

  /** Stands behind every voice of a route, and says what they have said before. */
  #keptVoice(voices: readonly KeptVoice[]): Candidate<TtsProvider> {
    const entry = { provider: 'kept' };
    return {
      provider: keptSpeech(this.#speech, voices),
      entry,
      health: this.#health.of('tts', entry),
      isLastResort: true,
    };
  }

  #released(session: CallSession): void {
    if (!this.#sessions.delete(session)) return;
    this.#deps.metrics.callReleased();
    if (this.#sessions.size === 0) this.#onIdle?.();
  }

  #idleWithin(limitMs: number): Promise<boolean> {
    if (this.#sessions.size === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = this.#deps.clock.after(limitMs, () => {
        this.#onIdle = undefined;
        resolve(false);
      });
      this.#onIdle = () => {
        this.#onIdle = undefined;
        timer.cancel();
        resolve(true);
      };
    });
  }

  #routesOf(agent: AgentConfig, log: Log): Routes {
    const known = this.#routes.get(agent);
    if (known) return known;
    const { clock, providers, random } = this.#deps;
    const { last } = providers;
    const health = this.#health;
    const probing = { clock, log: this.#deps.log };
    const stt = {
      stage: 'stt' as const,
      entries: agent.stt,
      configured: providers.stt,
      last: last.stt,
      probe: (provider: SttProvider, entry: RouteEntry) => sttProbe(provider, entry, probing),
    };
    const llm = {
      stage: 'llm' as const,
      entries: agent.llm,
      configured: providers.llm,
      last: last.llm,
      probe: (provider: LlmProvider, entry: RouteEntry) => llmProbe(provider, entry, probing),
    };
    const tts = {
      stage: 'tts' as const,
      entries: agent.tts,
      configured: providers.tts,
      last: last.tts,
      probe: (provider: TtsProvider, entry: RouteEntry) => ttsProbe(provider, entry, probing),
    };
    const speakers = resolveRoute(tts, health, log);
    const keptBy = (cache: SpeechCache): Candidate<TtsProvider>[] =>
      speakers.map((speaker) => ({ ...speaker, provider: cachedSpeech(speaker.provider, cache) }));
    const voices = speakers.map(({ provider, entry }) => ({ provider: provider.name, entry }));
    const routes = {
      stt: sttRoute(resolveRoute(stt, health, log), random),
      llm: llmRoute(resolveRoute(llm, health, log), random),
      tts: ttsRoute(keptBy(this.#speech), random, this.#keptVoice(voices)),
      emergency: ttsRoute(keptBy(this.#emergency.cache), random),
      voices,
    };
    this.#routes.set(agent, routes);
    return routes;
  }
}

/** Passes a call's events on, and with them what the call has used: now and then, and before its end. */
function tellingUsage(
  { usage, stream, clock }: { readonly usage: UsageLedger; readonly stream: number; readonly clock: Clock },
  tell: (event: CallEvent) => void,
): (event: CallEvent) => void {
  let toldAtMs = clock.nowMs();
  return (event) => {
    const nowMs = clock.nowMs();
    const final = event.type === 'call-ended';
    if (final || nowMs - toldAtMs >= TELL_USAGE_EVERY_MS) {
      toldAtMs = nowMs;
      tell({ type: 'usage-counted', at_ms: event.at_ms, stream, final, usage: usage.total() });
    }
    tell(event);
  };
}

/** A call whose caller is being connected to somebody else ends by that, whatever its wire looks like. */
function asTransferred(event: CallEvent): CallEvent {
  return event.type === 'call-ended' ? { ...event, reason: 'transferred' } : event;
}

/** What operators see. What was said is for debugging only. */
function logEvent(log: Log, event: CallEvent): void {
  const { type, at_ms } = event;
  if (type === 'turn-failed')
    log.warn({ at_ms, turn: event.turn, stage: event.stage, code: event.code }, 'turn failed');
  else if (type === 'turn-traced') log.info({ at_ms, turn: event.turn, stages: event.stages }, 'turn answered');
  else if (type === 'provider-switched')
    log.warn({ at_ms, stage: event.stage, from: event.from, to: event.to, code: event.code }, 'provider switched');
  else if (type === 'call-ended') log.info({ at_ms, reason: event.reason }, 'call ended');
  else if (type === 'call-started' || type === 'barge-in') log.info({ at_ms }, type);
  else log.debug({ event }, type);
}
