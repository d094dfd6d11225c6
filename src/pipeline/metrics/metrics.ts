/** What the process counts, for Prometheus. Stages of a turn are histograms, so that percentiles exist while calls run. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { unreachable } from '../../core/errors.ts';
import type { CallEvent, CallUsage } from '../events.ts';
import type { HealthEvent, HealthSnapshot, ProviderKey } from '../router/health.ts';
import type { WarmSocketEvent } from '../router/warm-pool.ts';

/** From a cached greeting to a caller who gives up. */
const LATENCY_BUCKETS_S = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.25, 1.5, 2, 3, 4, 6, 10];

const PROVIDER_LABELS = ['stage', 'provider', 'model', 'region'] as const;

type ProviderLabels = Record<(typeof PROVIDER_LABELS)[number], string>;

/** Models and regions are free text of agents, and a label once used stays: the first so many have series of their own. */
const MAX_LABELLED_PROVIDERS = 200;
const OTHER = 'other';

/** The labels of providers, of which there are never more than a registry can bear. */
class ProviderLabelling {
  readonly #known = new Map<string, ProviderLabels>();

  /** What is beyond the limit shares its series with all others of that provider. */
  of({ stage, provider, model, region }: ProviderKey): ProviderLabels {
    const id = JSON.stringify([stage, provider, model, region]);
    const known = this.#known.get(id);
    if (known) return known;
    if (this.#known.size >= MAX_LABELLED_PROVIDERS) return { stage, provider, model: OTHER, region: OTHER };
    const labels = { stage, provider, model, region };
    this.#known.set(id, labels);
    return labels;
  }
}

/** Of the records of calls, on their way to the database. */
export interface RecordsStatus {
  /** Waiting for the database. */
  readonly waitingBytes: number;
  /** Of those, the ones that are not on disk yet. */
  readonly unsafeBytes: number;
  /** Events let go of since the start, because the disk or the spool was full. */
  readonly droppedLines: number;
  /** Events that the database refused for good since the start. */
  readonly rejectedLines: number;
}

/** Counters of this process; one instance, handed to those who count. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #providers = new ProviderLabelling();
  readonly #active = new Gauge({ name: 'bvrai_calls_active', help: 'Calls in progress', registers: [this.#registry] });
  readonly #accepting = new Gauge({
    name: 'bvrai_accepting_calls',
    help: '1 while a further call would be taken',
    registers: [this.#registry],
  });
  #isAccepting: () => boolean = () => true;
  readonly #spool = new Gauge({
    name: 'bvrai_records_waiting_bytes',
    help: 'Call records that wait for the database',
    registers: [this.#registry],
  });
  readonly #unsafe = new Gauge({
    name: 'bvrai_records_unsafe_bytes',
    help: 'Call records that the disk has not taken yet, and that would go with this process',
    registers: [this.#registry],
  });
  readonly #recordsLost = this.#counter('bvrai_records_lost_total', 'Events of calls that the database never got', [
    'cause',
  ]);
  #records: () => RecordsStatus = () => ({ waitingBytes: 0, unsafeBytes: 0, droppedLines: 0, rejectedLines: 0 });
  readonly #ended = this.#counter('bvrai_calls_total', 'Calls ended, by reason', ['reason']);
  readonly #usage = this.#counter(
    'bvrai_usage_total',
    'What calls that have ended asked of providers, by the units that these bill',
    ['stage', 'provider', 'model', 'unit'],
  );
  readonly #refused = this.#counter('bvrai_streams_refused_total', 'Media streams refused at their start, by reason', [
    'reason',
  ]);
  readonly #failures = this.#counter(
    'bvrai_turn_failures_total',
    'Turns that a stage failed, by stage and error code',
    ['stage', 'code'],
  );
  readonly #bargeIns = this.#counter('bvrai_barge_ins_total', 'Times a caller interrupted the agent', []);
  readonly #falseAlarms = this.#counter(
    'bvrai_false_interruptions_total',
    'Times the agent was silenced by a sound that meant nothing, by cause',
    ['cause'],
  );
  readonly #speculations = this.#counter('bvrai_speculations_total', 'Replies begun on a guess, by outcome', [
    'outcome',
  ]);
  readonly #wastedTokens = this.#counter(
    'bvrai_speculation_wasted_tokens_total',
    'Tokens of guesses that were wrong',
    [],
  );
  readonly #wireFaults = this.#counter('bvrai_media_faults_total', 'Faults on the media wire, by kind', ['kind']);
  readonly #droppedWindows = this.#counter(
    'bvrai_vad_windows_dropped_total',
    'Windows of 32 ms of callers that were never judged for a voice, because judging fell behind',
    [],
  );
  #voiceActivity: () => number = () => 0;
  readonly #stages = new Histogram({
    name: 'bvrai_turn_stage_seconds',
    help: "Time from the caller's end of speech to each stage of the reply",
    labelNames: ['stage'],
    buckets: LATENCY_BUCKETS_S,
    registers: [this.#registry],
  });

  readonly #requests = this.#counter('bvrai_provider_requests_total', "Callers' requests to providers, by outcome", [
    ...PROVIDER_LABELS,
    'outcome',
  ]);
  readonly #firsts = new Histogram({
    name: 'bvrai_provider_first_seconds',
    help: "Time to a provider's first token or byte (recognisers: from the end of speech to the transcript)",
    labelNames: PROVIDER_LABELS,
    buckets: LATENCY_BUCKETS_S,
    registers: [this.#registry],
  });
  readonly #transitions = this.#counter(
    'bvrai_provider_breaker_transitions_total',
    'Breakers that changed their state',
    [...PROVIDER_LABELS, 'to', 'reason'],
  );
  readonly #hedges = this.#counter('bvrai_provider_hedges_total', 'Requests that got a rival, and rivals that won', [
    ...PROVIDER_LABELS,
    'event',
  ]);
  readonly #probes = this.#counter('bvrai_provider_probes_total', 'Synthetic requests to providers left alone', [
    ...PROVIDER_LABELS,
    'outcome',
  ]);
  readonly #breakers = new Gauge({
    name: 'bvrai_provider_breaker_state',
    help: "1 for the state that a provider's breaker is in",
    labelNames: [...PROVIDER_LABELS, 'state'],
    registers: [this.#registry],
  });
  readonly #quantiles = new Gauge({
    name: 'bvrai_provider_first_quantile_seconds',
    help: 'Live percentiles of the time to the first token or byte',
    labelNames: [...PROVIDER_LABELS, 'quantile'],
    registers: [this.#registry],
  });
  readonly #connectDeadlines = new Gauge({
    name: 'bvrai_provider_connect_deadline_seconds',
    help: 'How long a connection to the provider may take now, from its live percentiles',
    labelNames: PROVIDER_LABELS,
    registers: [this.#registry],
  });
  #snapshot: () => readonly HealthSnapshot[] = () => [];
  readonly #switches = this.#counter('bvrai_provider_switches_total', 'Times a call went on with another provider', [
    'stage',
    'from',
    'to',
    'code',
  ]);

  readonly #warmSockets = this.#counter(
    'bvrai_warm_sockets_total',
    'Sockets to providers opened ahead of need, by what became of them; missed: there was none',
    ['provider', 'outcome'],
  );

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** How the records of calls fare, read whenever somebody looks. */
  observeRecords(status: () => RecordsStatus): void {
    this.#records = status;
  }

  /** Whether a further call would be taken, read whenever somebody looks. */
  observeAdmission(isAccepting: () => boolean): void {
    this.#isAccepting = isAccepting;
  }

  /** How many windows the voice detector has dropped since the start, read whenever somebody looks. */
  observeVoiceActivity(droppedWindows: () => number): void {
    this.#voiceActivity = droppedWindows;
  }

  /** Where percentiles and breakers are read whenever somebody looks. */
  observeProviders(snapshot: () => readonly HealthSnapshot[]): void {
    this.#snapshot = snapshot;
  }

  providerEvent(event: HealthEvent): void {
    const labels = this.#providers.of(event.key);
    switch (event.type) {
      case 'request-finished':
        return this.#requests.inc({ ...labels, outcome: event.outcome });
      case 'first-received':
        return this.#firsts.observe(labels, event.afterMs / 1000);
      case 'breaker-changed':
        return this.#transitions.inc({ ...labels, to: event.transition.to, reason: event.transition.reason });
      case 'hedge-started':
      case 'hedge-won':
        return this.#hedges.inc({ ...labels, event: event.type });
      case 'probe-finished':
        return this.#probes.inc({ ...labels, outcome: event.outcome });
      default:
        return unreachable(event);
    }
  }

  warmSocketEvent({ provider, outcome }: WarmSocketEvent): void {
    this.#warmSockets.inc({ provider, outcome });
  }

  callStarted(): void {
    this.#active.inc();
  }

  callReleased(): void {
    this.#active.dec();
  }

  streamRefused(reason: string): void {
    this.#refused.inc({ reason });
  }

  /** `faults`: how often each kind of fault was seen on one media stream. */
  mediaFaults(faults: Readonly<Record<string, number>>): void {
    for (const [kind, count] of Object.entries(faults)) {
      if (count > 0) this.#wireFaults.inc({ kind }, count);
    }
  }

  callEvent(event: CallEvent): void {
    if (event.type === 'barge-in') this.#bargeIns.inc();
    else if (event.type === 'false-interruption') this.#falseAlarms.inc({ cause: event.cause });
    else if (event.type === 'speculation-hit') this.#speculations.inc({ outcome: 'hit' });
    else if (event.type === 'speculation-missed') {
      this.#speculations.inc({ outcome: 'missed' });
      this.#wastedTokens.inc(event.wasted_tokens);
    } else if (event.type === 'turn-failed') this.#failures.inc({ stage: event.stage, code: event.code });
    else if (event.type === 'provider-switched')
      this.#switches.inc({ stage: event.stage, from: event.from, to: event.to, code: event.code });
    else if (event.type === 'call-ended') this.#ended.inc({ reason: event.reason });
    else if (event.type === 'usage-counted' && event.final) this.#countUsage(event.usage);
    else if (event.type === 'turn-traced') {
      for (const [stage, afterMs] of Object.entries(event.stages)) {
        if (stage !== 'speech_ended_at_ms') this.#stages.observe({ stage: stage.replace(/_ms$/u, '') }, afterMs / 1000);
      }
    }
  }

  #countUsage({ stt, llm, tts }: CallUsage): void {
    const count = (
      stage: 'stt' | 'llm' | 'tts',
      { provider, model }: { readonly provider: string; readonly model: string | null },
      amounts: Readonly<Record<string, number>>,
    ): void => {
      const { region: _none, ...labels } = this.#providers.of({ stage, provider, model: model ?? '', region: '' });
      for (const [unit, amount] of Object.entries(amounts)) this.#usage.inc({ ...labels, unit }, amount);
    };
    for (const used of stt) count('stt', used, { audio_seconds: used.audio_ms / 1000 });
    for (const used of llm) {
      const { requests, unreported_requests, input_tokens, output_tokens } = used;
      count('llm', used, { requests, unreported_requests, input_tokens, output_tokens });
    }
    for (const used of tts) count('tts', used, { characters: used.characters });
  }

  /** The exposition text and its content type. */
  async expose(): Promise<{ contentType: string; text: string }> {
    this.#readHealth();
    this.#accepting.set(this.#isAccepting() ? 1 : 0);
    const { waitingBytes, unsafeBytes, droppedLines, rejectedLines } = this.#records();
    this.#spool.set(waitingBytes);
    this.#unsafe.set(unsafeBytes);
    this.#droppedWindows.reset();
    this.#droppedWindows.inc(this.#voiceActivity());
    this.#recordsLost.reset();
    this.#recordsLost.inc({ cause: 'spool-full' }, droppedLines);
    this.#recordsLost.inc({ cause: 'refused' }, rejectedLines);
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #readHealth(): void {
    this.#breakers.reset();
    this.#quantiles.reset();
    this.#connectDeadlines.reset();
    for (const { key, state, p50Ms, p95Ms, p99Ms, connectDeadlineMs } of this.#snapshot()) {
      const labels = this.#providers.of(key);
      // A state and a percentile are one provider's: many of them have none.
      if (labels.model === OTHER && key.model !== OTHER) continue;
      this.#breakers.set({ ...labels, state }, 1);
      this.#connectDeadlines.set(labels, connectDeadlineMs / 1000);
      for (const [quantile, ms] of Object.entries({ '0.5': p50Ms, '0.95': p95Ms, '0.99': p99Ms })) {
        if (ms !== undefined) this.#quantiles.set({ ...labels, quantile }, ms / 1000);
      }
    }
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }
}
