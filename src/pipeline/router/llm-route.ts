/** A route of language models that looks like one. */
import { BvraiError, unreachable } from '../../core/errors.ts';
import type { LlmPart, LlmProvider, LlmRequest, LlmStream, Sink, StreamContext } from '../providers/spec.ts';
import { ContinuationJoint, continuationMessages } from './continuation.ts';
import type { Attempt } from './health.ts';
import type { Candidate } from './route.ts';
import { Watchdog, deadlineError, inOrder, isWorthAnother, prewarmFirst } from './route.ts';

/** A model that ignores its token limit is stopped after this many characters a token. */
const MAX_CHARACTERS_PER_TOKEN = 8;
/** Speech takes about fourteen characters a second: text that comes slower than this leaves the caller in silence. */
const MIN_CHARACTERS_PER_S = 4;
/** How long the pace is not judged. */
export const PACE_GRACE_MS = 3_000;

/**
 * Asks the candidates in order until one speaks. One that is later than it usually is gets a rival, if the process can afford
 * that; the first to speak serves, the other is aborted. When the one that serves breaks off, the next one goes on from what has
 * been said. The only model of a route is asked once more when it stumbles before its first word. Once a tool was called there is no going back: a later failure is reported, and what was said stands.
 * `random`: uniform in [0, 1), for routes with weights.
 */
export function llmRoute(candidates: readonly Candidate<LlmProvider>[], random: () => number): LlmProvider {
  return {
    name: candidates.map(({ provider }) => provider.name).join(', '),
    capabilities: { tools: true, openEnded: true },
    prewarm: (_request, wanted) => prewarmFirst(candidates, ({ model, options }) => ({ model, options }), wanted),
    generate: (request, sink, context) => new RoutedGeneration(inOrder(candidates, random), request, sink, context),
  };
}

/** One candidate at work. */
interface Lane {
  readonly candidate: Candidate<LlmProvider>;
  readonly attempt: Attempt;
  readonly watchdog: Watchdog;
  readonly joint: ContinuationJoint | undefined;
  /** By when it must have spoken. */
  readonly firstDueAtMs: number;
  readonly isRepeated: boolean;
  hasSpoken: boolean;
  stream: LlmStream | undefined;
}

/**
 * Racing (one or two lanes, nobody has spoken) → serving (one lane) ⇄ racing again, for the rest of a reply that broke off →
 * done: finished, failed or aborted.
 */
class RoutedGeneration implements LlmStream {
  /** Not asked yet, in order. */
  readonly #remaining: Candidate<LlmProvider>[];
  readonly #request: LlmRequest;
  readonly #sink: Sink<LlmPart>;
  readonly #context: StreamContext;
  readonly #hedgeTimer: Watchdog;
  readonly #lanes = new Set<Lane>();
  /** The lane that speaks. */
  #serving: Lane | undefined;
  /** Whom the caller would have heard, and why not: told when another one serves. */
  #failed: { readonly name: string; readonly code: string } | undefined;
  #said = '';
  /** Since when, and from how much text on, the pace of the one that serves is judged. */
  #pace = { sinceMs: 0, length: 0 };
  #calledTool = false;
  #done = false;

  constructor(
    candidates: readonly Candidate<LlmProvider>[],
    request: LlmRequest,
    sink: Sink<LlmPart>,
    context: StreamContext,
  ) {
    this.#remaining = [...candidates];
    this.#request = request;
    this.#sink = sink;
    this.#context = context;
    this.#hedgeTimer = new Watchdog(context.clock);
    context.signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#tryNext(new BvraiError('provider.unavailable', 'the route has no language model'));
  }

  abort(): void {
    if (this.#done) return;
    for (const { attempt } of this.#lanes) attempt.abandon();
    this.#end();
  }

  readonly #onAbort = (): void => this.abort();

  /** The next candidate, or the end: with `reason`, if nobody is left. */
  #tryNext(reason: BvraiError): void {
    const candidate = this.#takeNext();
    if (!candidate) return this.#fail(reason);
    const lane = this.#open(candidate);
    const delayMs = candidate.health.hedgeDelayMs;
    if (delayMs !== undefined && lane.joint === undefined) this.#hedgeTimer.restart(delayMs, () => this.#hedge());
  }

  /** Only a model that can say anything can go on with another's words. */
  #takeNext(): Candidate<LlmProvider> | undefined {
    if (this.#said === '') return this.#remaining.shift();
    const index = this.#remaining.findIndex(({ provider }) => provider.capabilities?.openEnded === true);
    return index < 0 ? undefined : this.#remaining.splice(index, 1)[0];
  }

  /** The one that was asked is late: asks the next one as well. */
  #hedge(): void {
    const [rival] = this.#remaining;
    const [late] = this.#lanes;
    if (this.#done || this.#serving || !late || rival?.provider.capabilities?.openEnded !== true) return;
    if (!rival.health.available || !late.candidate.health.takeHedge()) return;
    this.#remaining.shift();
    this.#open(rival, { hedge: true });
  }

  /** `repeats`: the lane of the same candidate that failed; both together have the time of one. */
  #open(candidate: Candidate<LlmProvider>, { hedge = false, repeats }: { hedge?: boolean; repeats?: Lane } = {}): Lane {
    const { provider, entry, health } = candidate;
    const goesOn = this.#said !== '';
    const nowMs = this.#context.clock.nowMs();
    const firstMs = this.#hasOther() ? health.firstDeadlineMs : health.lastFirstDeadlineMs;
    const lane: Lane = {
      candidate,
      attempt: health.begin({ hedge }),
      watchdog: new Watchdog(this.#context.clock),
      joint: goesOn ? new ContinuationJoint(this.#said) : undefined,
      firstDueAtMs: repeats?.firstDueAtMs ?? nowMs + firstMs,
      isRepeated: repeats !== undefined,
      hasSpoken: false,
      stream: undefined,
    };
    this.#lanes.add(lane);
    const limitMs = lane.firstDueAtMs - nowMs;
    // The last resort works on this machine: when it is late the machine is overloaded, and nobody is left who would not be.
    const isLastHope = candidate.isLastResort === true && this.#remaining.length === 0;
    if (!isLastHope) lane.watchdog.restart(limitMs, () => this.#expire(lane, 'first', limitMs));
    const messages = goesOn ? continuationMessages(this.#request.messages, this.#said) : this.#request.messages;
    const request = { ...this.#request, messages, model: entry.model, options: entry.options };
    const context = { ...this.#context, connecting: health.connecting };
    lane.stream = provider.generate(request, (part) => this.#onPart(lane, part), context);
    return lane;
  }

  /** Whether another model is asked already or can still be: prepared answers are no match for one that is merely late. */
  #hasOther(): boolean {
    const others = Array.from(this.#lanes, ({ candidate }) => candidate);
    return [...others, ...this.#remaining].some(({ provider }) => provider.capabilities?.openEnded === true);
  }

  #onPart(lane: Lane, part: LlmPart): void {
    if (this.#done || !this.#lanes.has(lane)) return;
    switch (part.type) {
      case 'text-delta':
        return this.#onText(lane, part.text);
      case 'tool-called':
        this.#serve(lane);
        this.#calledTool = true;
        return this.#sink(part);
      case 'generation-finished':
        return this.#onFinished(lane, part);
      case 'generation-failed':
        return this.#onFailure(lane, part.error);
      default:
        return unreachable(part);
    }
  }

  #onText(lane: Lane, text: string): void {
    if (text === '') return;
    this.#serve(lane);
    this.#say(lane.joint ? lane.joint.push(text) : text);
    if (this.#done) return;
    if (this.#said.length > this.#request.maxOutputTokens * MAX_CHARACTERS_PER_TOKEN) return this.#stopEndless(lane);
    this.#expectMore(lane);
  }

  #say(text: string): void {
    if (text === '') return;
    this.#said += text;
    this.#sink({ type: 'text-delta', text });
  }

  /** More must come before the gap is too long, and before the text so far lags behind the slowest pace. */
  #expectMore(lane: Lane): void {
    const { sinceMs, length } = this.#pace;
    const paidForMs = ((this.#said.length - length) / MIN_CHARACTERS_PER_S) * 1_000;
    const lagsAtMs = sinceMs + Math.max(PACE_GRACE_MS, paidForMs);
    const limitMs = Math.min(lane.candidate.health.gapDeadlineMs, lagsAtMs - this.#context.clock.nowMs());
    lane.watchdog.restart(limitMs, () => this.#expire(lane, 'gap', limitMs));
  }

  /** The lane has said something: it serves, and whoever else was asked is not waited for. */
  #serve(lane: Lane): void {
    lane.attempt.more();
    lane.hasSpoken = true;
    if (this.#serving === lane) return this.#expectMore(lane);
    this.#serving = lane;
    this.#pace = { sinceMs: this.#context.clock.nowMs(), length: this.#said.length };
    this.#expectMore(lane);
    this.#hedgeTimer.stop();
    const { name } = lane.candidate.provider;
    for (const other of this.#lanes) {
      if (other === lane) continue;
      other.attempt.loseHedge();
      lane.candidate.health.hedgeWon();
      this.#context.onSwitch?.({ stage: 'llm', from: other.candidate.provider.name, to: name, code: 'slow' });
      this.#drop(other);
    }
    if (this.#failed)
      this.#context.onSwitch?.({ stage: 'llm', from: this.#failed.name, to: name, code: this.#failed.code });
    this.#failed = undefined;
  }

  #onFinished(lane: Lane, part: Extract<LlmPart, { type: 'generation-finished' }>): void {
    if (lane.joint) this.#say(lane.joint.end());
    if (this.#done) return;
    if (this.#said === '' && !this.#calledTool) {
      const { name } = lane.candidate.provider;
      return this.#onFailure(lane, new BvraiError('provider.protocol', `${name} finished without a word.`));
    }
    lane.attempt.succeed();
    this.#end();
    this.#sink(part);
  }

  #expire(lane: Lane, kind: 'first' | 'gap', limitMs: number): void {
    if (this.#done || !this.#lanes.has(lane)) return;
    this.#onFailure(lane, deadlineError(kind, lane.candidate.provider.name, limitMs));
  }

  #onFailure(lane: Lane, error: BvraiError): void {
    const { name } = lane.candidate.provider;
    this.#context.log.warn(
      { stage: 'llm', provider: name, code: error.code, reason: error.message },
      'provider failed',
    );
    lane.attempt.fail(error);
    this.#drop(lane);
    if (this.#serving === lane) this.#serving = undefined;
    if (this.#isWorthRepeating(lane, error)) return void this.#open(lane.candidate, { repeats: lane });
    this.#failed ??= { name, code: error.code };
    // A rival may still speak.
    if (this.#lanes.size > 0) return;
    if (this.#calledTool) this.#fail(error);
    else this.#tryNext(error);
  }

  #isWorthRepeating({ candidate, isRepeated, hasSpoken }: Lane, error: BvraiError): boolean {
    const isModel = candidate.provider.capabilities?.openEnded === true;
    if (!isModel || isRepeated || hasSpoken || this.#calledTool || this.#hasOther()) return false;
    return isWorthAnother(error, candidate.health);
  }

  #drop(lane: Lane): void {
    this.#lanes.delete(lane);
    lane.watchdog.stop();
    lane.stream?.abort();
  }

  #stopEndless(lane: Lane): void {
    this.#context.log.warn({ stage: 'llm', characters: this.#said.length }, 'reply over the token limit, stopped');
    lane.attempt.succeed();
    this.#end();
    this.#sink({ type: 'generation-finished', reason: 'length' });
  }

  #fail(error: BvraiError): void {
    this.#end();
    this.#sink({ type: 'generation-failed', error });
  }

  #end(): void {
    this.#done = true;
    this.#hedgeTimer.stop();
    for (const lane of this.#lanes) this.#drop(lane);
    this.#context.signal.removeEventListener('abort', this.#onAbort);
  }
}
