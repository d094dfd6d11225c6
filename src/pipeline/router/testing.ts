/** For tests of routes: candidates with health of their own, and providers that say what the test tells them to. */
import { VirtualClock } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';
import { silentLog } from '../../core/log.ts';
import type {
  LlmPart,
  LlmProvider,
  LlmRequest,
  Sink,
  StreamContext,
  SttPart,
  SttProvider,
  TtsPart,
  TtsProvider,
} from '../providers/spec.ts';
import { ProvidersHealth } from './health.ts';
import type { HealthEvent } from './health.ts';
import type { Candidate } from './route.ts';
import type { Stage } from './times.ts';

/** Providers as candidates of one route, in order, with a model of their own each: `m1`, `m2` … */
export function candidatesOf<Provider extends { readonly name: string }>(
  stage: Stage,
  clock: Clock,
  providers: readonly Provider[],
  onEvent?: (event: HealthEvent) => void,
): Candidate<Provider>[] {
  const health = new ProvidersHealth({ clock, log: silentLog, random: () => 0, onEvent });
  return providers.map((provider, index) => {
    const entry = { provider: provider.name, model: `m${index + 1}` };
    return { provider, entry, health: health.of(stage, entry) };
  });
}

/** What a call gives its streams. */
export function callContext(): {
  clock: VirtualClock;
  scope: AbortController;
  context: StreamContext;
  switches: string[];
} {
  const clock = new VirtualClock();
  const scope = new AbortController();
  const switches: string[] = [];
  const onSwitch: StreamContext['onSwitch'] = ({ from, to, code }) => switches.push(`${from} → ${to}: ${code}`);
  return { clock, scope, switches, context: { clock, log: silentLog, signal: scope.signal, onSwitch } };
}

export interface AskedGeneration {
  readonly request: LlmRequest;
  readonly sink: Sink<LlmPart>;
  aborted: boolean;
}

/** Records what it is asked. */
export function scriptedLlm(name: string, openEnded = true): { provider: LlmProvider; asked: AskedGeneration[] } {
  const asked: AskedGeneration[] = [];
  const provider: LlmProvider = {
    name,
    capabilities: { openEnded },
    generate(request, sink) {
      const generation = { request, sink, aborted: false };
      asked.push(generation);
      return { abort: () => (generation.aborted = true) };
    },
  };
  return { provider, asked };
}

export interface OpenedSpeech {
  /** `id:text` spoken, `id.` finished, `id!` cancelled. */
  readonly spoken: string[];
  closed: boolean;
  readonly sink: Sink<TtsPart>;
}

export function scriptedTts(name: string): { provider: TtsProvider; streams: OpenedSpeech[] } {
  const streams: OpenedSpeech[] = [];
  const provider: TtsProvider = {
    name,
    open(_request, sink) {
      const stream: OpenedSpeech = { spoken: [], closed: false, sink };
      streams.push(stream);
      return {
        speak: (id, text) => stream.spoken.push(`${id}:${text}`),
        finish: (id) => stream.spoken.push(`${id}.`),
        cancel: (id) => stream.spoken.push(`${id}!`),
        close: () => (stream.closed = true),
      };
    },
  };
  return { provider, streams };
}

export interface OpenedRecognition {
  readonly heard: number[];
  readonly hints: string[];
  closed: boolean;
  readonly sink: Sink<SttPart>;
}

export function scriptedStt(
  name: string,
  decidesTurns?: () => boolean,
): { provider: SttProvider; streams: OpenedRecognition[] } {
  const streams: OpenedRecognition[] = [];
  const provider: SttProvider = {
    name,
    ...(decidesTurns && { capabilities: { decidesTurns } }),
    open(_request, sink) {
      const stream: OpenedRecognition = { heard: [], hints: [], closed: false, sink };
      streams.push(stream);
      return {
        write: (bytes) => stream.heard.push(...bytes),
        hint: (voice, agoMs) => stream.hints.push(agoMs === undefined ? voice : `${voice} ${agoMs} ms ago`),
        close: () => (stream.closed = true),
      };
    },
  };
  return { provider, streams };
}
