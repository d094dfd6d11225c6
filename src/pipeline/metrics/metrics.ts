/** What the process counts, for Prometheus. Stages of a turn are histograms, so that percentiles exist while calls run. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { CallEvent } from '../events.ts';

/** From a cached greeting to a caller who gives up. */
const LATENCY_BUCKETS_S = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.25, 1.5, 2, 3, 4, 6, 10];

/** Counters of this process; one instance, handed to those who count. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #active = new Gauge({ name: 'bvrai_calls_active', help: 'Calls in progress', registers: [this.#registry] });
  readonly #ended = this.#counter('bvrai_calls_total', 'Calls ended, by reason', ['reason']);
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
  readonly #stages = new Histogram({
    name: 'bvrai_turn_stage_seconds',
    help: "Time from the caller's end of speech to each stage of the reply",
    labelNames: ['stage'],
    buckets: LATENCY_BUCKETS_S,
    registers: [this.#registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
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
    else if (event.type === 'call-ended') this.#ended.inc({ reason: event.reason });
    else if (event.type === 'turn-traced') {
      for (const [stage, afterMs] of Object.entries(event.stages)) {
        if (stage !== 'speech_ended_at_ms') this.#stages.observe({ stage: stage.replace(/_ms$/u, '') }, afterMs / 1000);
      }
    }
  }

  /** The exposition text and its content type. */
  async expose(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }
}
