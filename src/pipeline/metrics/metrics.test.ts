import { describe, expect, it } from 'vitest';
import { BvraiError } from '../../core/errors.ts';
import { silentLog } from '../../core/log.ts';
import type { LlmPart } from '../providers/spec.ts';
import { ProvidersHealth } from '../router/health.ts';
import { llmRoute } from '../router/llm-route.ts';
import { callContext, scriptedLlm } from '../router/testing.ts';
import { Metrics } from './metrics.ts';

const request = { messages: [{ role: 'user' as const, content: 'Hi' }], questionsAndAnswers: [], maxOutputTokens: 30 };
const hello: LlmPart = { type: 'text-delta', text: 'Hello' };
const finished: LlmPart = { type: 'generation-finished', reason: 'stop' };
const FIRST = 'stage="llm",provider="first",model="m",region="eu"';
const SECOND = 'stage="llm",provider="second",model="",region=""';

/** A route of two models, whose health is counted. */
function setUp() {
  const { context, clock } = callContext();
  const metrics = new Metrics();
  const health = new ProvidersHealth({
    clock,
    log: silentLog,
    random: () => 0,
    onEvent: (event) => metrics.providerEvent(event),
  });
  metrics.observeProviders(() => health.snapshot());
  const [first, second] = [scriptedLlm('first'), scriptedLlm('second')];
  const entries = [
    { provider: first.provider, entry: { provider: 'first', model: 'm', options: { region: 'eu' } } },
    { provider: second.provider, entry: { provider: 'second' } },
  ];
  const candidates = entries.map((candidate) => ({
    ...candidate,
    health: health.of('llm', candidate.entry, (done) => done()),
  }));
  const route = llmRoute(candidates, () => 0);
  const ask = () => route.generate(request, () => {}, context);
  const answer = ({ asked }: typeof first) => {
    asked.at(-1)?.sink(hello);
    asked.at(-1)?.sink(finished);
  };
  const lines = async () => (await metrics.expose()).text.split('\n');
  return { clock, metrics, first, second, ask, answer, lines };
}

function serve({ clock, ask, answer, first }: ReturnType<typeof setUp>, count: number): void {
  for (let call = 0; call < count; call++) {
    ask();
    clock.advance(300);
    answer(first);
  }
}

describe('what the process counts of its providers', () => {
  it('has what calls used, once they have ended', async () => {
    const { metrics, lines } = setUp();
    const llm = { requests: 3, unreported_requests: 1, input_tokens: 200, output_tokens: 20 };
    const usage = {
      stt: [{ provider: 'deepgram', model: 'nova-3', audio_ms: 1_500 }],
      llm: [{ provider: 'openai', model: 'm', ...llm }],
      tts: [{ provider: 'embedded', model: null, characters: 12 }],
    };
    for (const final of [false, true]) metrics.callEvent({ type: 'usage-counted', at_ms: 1, stream: 1, final, usage });
    const counted = (await lines()).filter((line) => line.startsWith('bvrai_usage_total'));
    expect(counted).toEqual([
      'bvrai_usage_total{stage="stt",provider="deepgram",model="nova-3",unit="audio_seconds"} 1.5',
      'bvrai_usage_total{stage="llm",provider="openai",model="m",unit="requests"} 3',
      'bvrai_usage_total{stage="llm",provider="openai",model="m",unit="unreported_requests"} 1',
      'bvrai_usage_total{stage="llm",provider="openai",model="m",unit="input_tokens"} 200',
      'bvrai_usage_total{stage="llm",provider="openai",model="m",unit="output_tokens"} 20',
      'bvrai_usage_total{stage="tts",provider="embedded",model="",unit="characters"} 12',
    ]);
  });

  it('has every request by its outcome, its latency as a histogram and as live percentiles', async () => {
    const all = setUp();
    serve(all, 40);
    const lines = await all.lines();
    expect(lines).toContain(`bvrai_provider_requests_total{${FIRST},outcome="ok"} 40`);
    expect(lines).toContain(`bvrai_provider_first_seconds_count{${FIRST}} 40`);
    expect(lines).toContain(`bvrai_provider_first_seconds_bucket{le="0.2",${FIRST}} 0`);
    expect(lines).toContain(`bvrai_provider_first_seconds_bucket{le="0.4",${FIRST}} 40`);
    for (const quantile of ['0.5', '0.95', '0.99'])
      expect(lines).toContain(`bvrai_provider_first_quantile_seconds{${FIRST},quantile="${quantile}"} 0.3`);
    expect(lines).toContain(`bvrai_provider_breaker_state{${FIRST},state="closed"} 1`);
    expect(lines).toContain(`bvrai_provider_breaker_state{${SECOND},state="closed"} 1`);
  });

  it('has hedges, those that won, and who lost to them', async () => {
    const all = setUp();
    serve(all, 40);
    all.ask();
    all.clock.advance(350);
    all.answer(all.second);
    const lines = await all.lines();
    expect(lines).toContain(`bvrai_provider_hedges_total{${FIRST},event="hedge-started"} 1`);
    expect(lines).toContain(`bvrai_provider_hedges_total{${SECOND},event="hedge-won"} 1`);
    expect(lines).toContain(`bvrai_provider_requests_total{${FIRST},outcome="hedge-lost"} 1`);
    expect(lines).toContain(`bvrai_provider_requests_total{${SECOND},outcome="ok"} 1`);
    // A wait that was given up is no first token.
    expect(lines).toContain(`bvrai_provider_first_seconds_count{${FIRST}} 40`);
  });

  it('has the breaker’s state, its transitions with their reasons, and the probes', async () => {
    const all = setUp();
    for (let call = 0; call < 3; call++) {
      all.ask();
      all.first.asked.at(-1)?.sink({
        type: 'generation-failed',
        error: new BvraiError('provider.overloaded', 'scripted'),
      });
      all.answer(all.second);
    }
    const open = await all.lines();
    expect(open).toContain(`bvrai_provider_requests_total{${FIRST},outcome="provider.overloaded"} 3`);
    expect(open).toContain(`bvrai_provider_breaker_state{${FIRST},state="open"} 1`);
    expect(open).not.toContain(`bvrai_provider_breaker_state{${FIRST},state="closed"} 1`);
    all.clock.advance(5_000);
    const closed = await all.lines();
    expect(closed).toContain(`bvrai_provider_breaker_state{${FIRST},state="closed"} 1`);
    expect(closed).not.toContain(`bvrai_provider_breaker_state{${FIRST},state="open"} 1`);
    for (const [to, reason] of [
      ['open', 'provider.overloaded'],
      ['probing', 'probe'],
      ['closed', 'probe'],
    ]) {
      expect(closed).toContain(`bvrai_provider_breaker_transitions_total{${FIRST},to="${to}",reason="${reason}"} 1`);
    }
    expect(closed).toContain(`bvrai_provider_probes_total{${FIRST},outcome="ok"} 1`);
  });
});

describe('the metrics of the process', () => {
  it('give the models of agents no more series than a registry can bear, and count the others together', async () => {
    const metrics = new Metrics();
    const keyOf = (index: number) => ({ stage: 'llm' as const, provider: 'openai', model: `m${index}`, region: '' });
    for (let index = 0; index < 1_000; index++)
      metrics.providerEvent({ type: 'request-finished', key: keyOf(index), outcome: 'ok' });
    const latencies = { p50Ms: 1, p95Ms: 1, p99Ms: 1, connectDeadlineMs: 1 };
    metrics.observeProviders(() =>
      Array.from({ length: 1_000 }, (_, index) => ({ key: keyOf(index), state: 'closed' as const, ...latencies })),
    );
    const lines = (await metrics.expose()).text.split('\n');
    const seriesOf = (name: string) => lines.filter((line) => line.startsWith(`${name}{`));
    expect(seriesOf('bvrai_provider_requests_total')).toHaveLength(201);
    expect(seriesOf('bvrai_provider_requests_total').at(-1)).toMatch(
      /model="other",region="other",outcome="ok"\} 800$/,
    );
    expect(seriesOf('bvrai_provider_breaker_state')).toHaveLength(200);
  });

  it('tell whether calls are taken, and what has become of their records', async () => {
    const metrics = new Metrics();
    const state = { open: true, lost: 0 };
    metrics.observeAdmission(() => state.open);
    metrics.observeRecords(() => ({ waitingBytes: 5, unsafeBytes: 4, droppedLines: state.lost, rejectedLines: 2 }));
    expect((await metrics.expose()).text).toContain('\nbvrai_accepting_calls 1\n');
    Object.assign(state, { open: false, lost: 3 });
    const { text } = await metrics.expose();
    expect(text).toContain('\nbvrai_accepting_calls 0\n');
    expect(text).toContain('\nbvrai_records_waiting_bytes 5\n');
    expect(text).toContain('\nbvrai_records_unsafe_bytes 4\n');
    // Read anew each time, not added up.
    await metrics.expose();
    expect((await metrics.expose()).text).toContain('bvrai_records_lost_total{cause="spool-full"} 3\n');
    expect(text).toContain('bvrai_records_lost_total{cause="refused"} 2\n');
  });

  it('tell how many windows of callers the voice detector has never judged', async () => {
    const metrics = new Metrics();
    let dropped = 0;
    metrics.observeVoiceActivity(() => dropped);
    expect((await metrics.expose()).text).toContain('\nbvrai_vad_windows_dropped_total 0\n');
    dropped = 36;
    await metrics.expose();
    expect((await metrics.expose()).text).toContain('\nbvrai_vad_windows_dropped_total 36\n');
  });
});
