/** A route of synthesisers that looks like one. */
import { BvraiError, unreachable } from '../../core/errors.ts';
import { BYTES_PER_MS } from '../../media/call-port.ts';
import type { RouteEntry } from '../ports.ts';
import type {
  Sink,
  SpeakOptions,
  SpokenSpan,
  StreamContext,
  TtsPart,
  TtsProvider,
  TtsRequest,
  TtsStream,
} from '../providers/spec.ts';
import { hasWords } from '../text/words.ts';
import type { Attempt, ProviderHealth } from './health.ts';
import type { Candidate } from './route.ts';
import { Watchdog, deadlineError, inOrder, isWorthAnother, prewarmFirst } from './route.ts';
import { Pace, SpeechProgress } from './speech-progress.ts';
import type { SpokenChunk } from './speech-progress.ts';

/**
 * One voice serves the call until it fails; where only the last resort is left, a stumble before its first audio is forgiven once.
 * Then the next one does, for the rest of the call: a call does not change its voice to and fro. The next voice goes on with the first word that has not been passed on, so nothing is said twice and nothing is lost. A
 * voice whose first audio is later than usual gets a rival, if the process can afford that; the first to speak serves. The
 * stream itself never fails: when everyone has failed an utterance that is reported, and the next one starts over with the route.
 * `kept`: stands behind all of them, and is no voice of its own: what was said before is all it can say.
 */
export function ttsRoute(
  candidates: readonly Candidate<TtsProvider>[],
  random: () => number,
  kept?: Candidate<TtsProvider>,
): TtsProvider {
  const behind = kept ? [kept] : [];
  const all = [...candidates, ...behind];
  const paces = new Map(all.map((candidate) => [candidate, new Pace()]));
  const order = (): Candidate<TtsProvider>[] => [...inOrder(candidates, random), ...behind];
  return {
    name: all.map(({ provider }) => provider.name).join(', '),
    open: (request, sink, context) => new RoutedSpeech({ order, paces }, request, sink, context),
    prewarm: (request, wanted) => prewarmFirst(candidates, (entry) => requestOf(request, entry), wanted),
  };
}

function requestOf(request: TtsRequest, { model, voice, options }: RouteEntry): TtsRequest {
  return { ...request, model, voice, options };
}

/** Tells the ledger that a text of the voice before reaches no further, however long it was to last. */
const JOINT: SpokenSpan = { text: '', startMs: 0, durationMs: 0 };

interface Route {
  /** The candidates as they are to be tried now. */
  readonly order: () => Candidate<TtsProvider>[];
  readonly paces: ReadonlyMap<Candidate<TtsProvider>, Pace>;
}

/** A candidate with a stream of its own. */
interface Lane {
  readonly candidate: Candidate<TtsProvider>;
  stream: TtsStream | undefined;
  /** How the current utterance is going; undefined: this lane has no part in it. */
  attempt: Attempt | undefined;
}

interface Utterance {
  readonly id: string;
  finished: boolean;
  /** By when its first audio must be there; undefined: nobody has been asked for it. */
  firstDueAtMs: number | undefined;
  progress: SpeechProgress;
  /** Another voice has been heard, and the next audio is the first of the one that goes on. */
  atJoint: boolean;
  /** When the audio so far will have been heard; and how long in all the ear has waited for a voice that had all of its text. */
  heardUntilMs: number;
  starvedMs: number;
}

class RoutedSpeech implements TtsStream {
  readonly #route: Route;
  readonly #request: TtsRequest;
  readonly #sink: Sink<TtsPart>;
  readonly #context: StreamContext;
  readonly #watchdog: Watchdog;
  readonly #hedgeTimer: Watchdog;
  /** Not tried yet since the route was last begun, in order. */
  #remaining: Candidate<TtsProvider>[];
  #serving: Lane | undefined;
  #rival: Lane | undefined;
  /** The call speaks one utterance at a time. */
  #utterance: Utterance | undefined;
  /** The voice that serves has been connected to again, and not yet been heard since. */
  #repeated = false;
  #closed = false;

  constructor(route: Route, request: TtsRequest, sink: Sink<TtsPart>, context: StreamContext) {
    this.#route = route;
    this.#request = request;
    this.#sink = sink;
    this.#context = context;
    this.#watchdog = new Watchdog(context.clock);
    this.#hedgeTimer = new Watchdog(context.clock);
    this.#remaining = route.order();
    this.#serveNext(new BvraiError('provider.unavailable', 'the route has no synthesiser'));
  }

  speak(utteranceId: string, text: string, options?: SpeakOptions): void {
    if (this.#closed) return;
    if (!this.#serving) this.#startOver();
    const utterance = this.#current(utteranceId);
    utterance.progress.add({ text, options });
    for (const lane of this.#lanes()) {
      lane.attempt ??= lane.candidate.health.begin({ hedge: lane === this.#rival });
      lane.stream?.speak(utteranceId, text, options);
    }
    if (!this.#watchdog.running) this.#watch(utterance);
    if (utterance.progress.pieces.length === 1) this.#hedgeLater(utterance);
  }

  finish(utteranceId: string): void {
    if (this.#closed) return;
    const utterance = this.#current(utteranceId);
    utterance.finished = true;
    // Until now the ear may have waited for the model.
    utterance.heardUntilMs = Math.max(utterance.heardUntilMs, this.#context.clock.nowMs());
    for (const lane of this.#lanes()) lane.stream?.finish(utteranceId);
    if (!this.#watchdog.running) this.#watch(utterance);
  }

  cancel(utteranceId: string): void {
    if (this.#closed || this.#utterance?.id !== utteranceId) return;
    for (const lane of this.#lanes()) lane.stream?.cancel(utteranceId);
    this.#leaveUtterance((attempt) => attempt.abandon());
    this.#dropRival();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#leaveUtterance((attempt) => attempt.abandon());
    this.#dropRival();
    this.#serving?.stream?.close();
  }

  #lanes(): Lane[] {
    return [this.#serving, this.#rival].filter((lane) => lane !== undefined);
  }

  #current(utteranceId: string): Utterance {
    if (this.#utterance?.id === utteranceId) return this.#utterance;
    this.#leaveUtterance((attempt) => attempt.abandon());
    const utterance = {
      id: utteranceId,
      finished: false,
      firstDueAtMs: undefined,
      progress: this.#newProgress(),
      atJoint: false,
      heardUntilMs: 0,
      starvedMs: 0,
    };
    this.#utterance = utterance;
    return utterance;
  }

  #newProgress(): SpeechProgress {
    const pace = this.#serving && this.#route.paces.get(this.#serving.candidate);
    return new SpeechProgress(pace ?? new Pace());
  }

  /** The utterance is over for everyone, in one way or another. */
  #leaveUtterance(end: (attempt: Attempt) => void): void {
    this.#utterance = undefined;
    this.#watchdog.stop();
    this.#hedgeTimer.stop();
    for (const lane of this.#lanes()) {
      if (lane.attempt) end(lane.attempt);
      lane.attempt = undefined;
    }
  }

  /** Audio is owed while text waits to be said; between the clauses of a slow model nothing is. */
  #watch(utterance: Utterance): void {
    const serving = this.#serving;
    if (!serving) return;
    const { health, provider } = serving.candidate;
    const kind = utterance.progress.audible ? 'gap' : 'first';
    const limitMs =
      kind === 'gap' ? this.#gapLimitMs(utterance, health.gapDeadlineMs) : this.#firstLimitMs(utterance, health);
    this.#watchdog.restart(limitMs, () => {
      if (this.#isLastHope(serving)) this.#askBehind(utterance);
      else this.#onFailure(serving, deadlineError(kind, provider.name, limitMs));
    });
  }

  /** The last resort works on this machine: when it is late the machine is overloaded. It bounds its own work, and fails when it hangs. */
  #isLastHope({ candidate }: Lane): boolean {
    if (candidate.isLastResort !== true) return false;
    return !this.#route.order().some((other) => other.isLastResort !== true);
  }

  /** Speech that was kept need not be made. */
  #askBehind(utterance: Utterance): void {
    if (utterance.progress.audible || this.#rival) return;
    const next = this.#remaining.shift();
    if (!next) return;
    this.#rival = this.#open(next, true);
    this.#sayAll(this.#rival, utterance);
  }

  /** A voice that is asked again has no more time than one that is asked once. */
  #firstLimitMs(utterance: Utterance, { firstDeadlineMs }: ProviderHealth): number {
    const nowMs = this.#context.clock.nowMs();
    utterance.firstDueAtMs ??= nowMs + firstDeadlineMs;
    return utterance.firstDueAtMs - nowMs;
  }

  /** Many short gaps are as bad as a long one: a voice that is slower than speech is no voice. */
  #gapLimitMs({ heardUntilMs, starvedMs, finished }: Utterance, deadlineMs: number): number {
    if (!finished) return deadlineMs;
    const aheadMs = Math.max(0, heardUntilMs - this.#context.clock.nowMs());
    return Math.min(deadlineMs, aheadMs + deadlineMs - starvedMs);
  }

  /** Counts how long the ear has waited for this audio, and until when it has something to hear now. */
  #play(utterance: Utterance, audio: Uint8Array): void {
    const nowMs = this.#context.clock.nowMs();
    if (utterance.finished && utterance.progress.audible)
      utterance.starvedMs += Math.max(0, nowMs - utterance.heardUntilMs);
    utterance.heardUntilMs = Math.max(utterance.heardUntilMs, nowMs) + audio.length / BYTES_PER_MS;
  }

  #hedgeLater(utterance: Utterance): void {
    const delayMs = this.#serving?.candidate.health.hedgeDelayMs;
    if (delayMs !== undefined) this.#hedgeTimer.restart(delayMs, () => this.#hedge(utterance));
  }

  /** The voice that serves is late: the next one is asked for the same. */
  #hedge(utterance: Utterance): void {
    const [next] = this.#remaining;
    const { health } = this.#serving?.candidate ?? {};
    if (this.#closed || this.#utterance !== utterance || utterance.progress.audible || this.#rival) return;
    if (!next?.health.available || !health?.takeHedge()) return;
    this.#remaining.shift();
    this.#rival = this.#open(next, true);
    this.#sayAll(this.#rival, utterance);
  }

  /** Whoever spoke last has failed: the next candidate says what is left. */
  #serveNext(reason: BvraiError): void {
    // Whoever was just told of a failure may have closed the stream for it.
    if (this.#closed) return;
    const from = this.#serving;
    const candidate = this.#rival ? undefined : this.#remaining.shift();
    this.#serving = this.#rival ?? (candidate && this.#open(candidate, false));
    const rival = this.#rival;
    this.#rival = undefined;
    if (!this.#serving) return this.#exhausted(reason);
    const isRepeated = from?.candidate === this.#serving.candidate;
    if (from && !isRepeated) this.#tellSwitch(from, this.#serving, reason.code);
    const utterance = this.#utterance;
    if (!utterance) return;
    if (!isRepeated) utterance.firstDueAtMs = undefined;
    if (!rival) this.#goOn(this.#serving, utterance);
    const isOwed = utterance.progress.pieces.length > 0;
    if (isOwed) this.#watch(utterance);
    else if (utterance.finished) this.#onFinished(this.#serving, utterance);
  }

  /** Everyone has failed: the next utterance tries the route from its beginning, so that no failure mutes a call for good. */
  #startOver(): void {
    this.#remaining = this.#route.order();
    this.#serveNext(new BvraiError('provider.unavailable', 'the route has no synthesiser'));
  }

  #open(candidate: Candidate<TtsProvider>, hedge: boolean): Lane {
    const { provider, entry, health } = candidate;
    const lane: Lane = { candidate, stream: undefined, attempt: undefined };
    if (this.#utterance) lane.attempt = health.begin({ hedge });
    const request = requestOf(this.#request, entry);
    const context = { ...this.#context, connecting: health.connecting };
    lane.stream = provider.open(request, (part) => this.#onPart(lane, part), context);
    return lane;
  }

  /** The lane's voice takes the utterance over: what has been passed on is not said again. */
  #goOn(lane: Lane, utterance: Utterance): void {
    const rest = utterance.progress.rest();
    utterance.atJoint ||= utterance.progress.audible;
    utterance.progress = this.#newProgress();
    utterance.starvedMs = 0;
    for (const piece of rest) utterance.progress.add(piece);
    this.#sayAll(lane, utterance);
  }

  #sayAll(lane: Lane, { id, progress, finished }: Utterance): void {
    for (const { text, options } of progress.pieces) lane.stream?.speak(id, text, options);
    // Of what has all been said nothing is begun.
    if (finished && progress.pieces.length > 0) lane.stream?.finish(id);
  }

  #exhausted(reason: BvraiError): void {
    const utterance = this.#utterance;
    if (!utterance) return;
    this.#leaveUtterance(() => {});
    this.#sink({ type: 'utterance-failed', utteranceId: utterance.id, error: reason });
  }

  #onPart(lane: Lane, part: TtsPart): void {
    if (this.#closed || (lane !== this.#serving && lane !== this.#rival)) return;
    if (part.type === 'stream-failed') return this.#onFailure(lane, part.error);
    const utterance = this.#utterance;
    if (utterance?.id !== part.utteranceId) return;
    switch (part.type) {
      case 'audio-chunk':
        return this.#onAudio(lane, utterance, part);
      case 'utterance-finished':
        return this.#onFinished(lane, utterance);
      case 'utterance-failed':
        return this.#onFailure(lane, part.error);
      default:
        return unreachable(part);
    }
  }

  #onAudio(lane: Lane, utterance: Utterance, { audio, spans }: SpokenChunk): void {
    if (audio.length === 0) return;
    this.#settleRace(lane);
    lane.attempt?.more();
    this.#repeated = false;
    this.#play(utterance, audio);
    if (utterance.finished) this.#watch(utterance);
    else this.#watchdog.stop();
    const chunk = utterance.progress.take({ audio, spans }, this.#context.clock.nowMs());
    if (chunk) this.#pass(utterance, chunk);
  }

  #onFinished(lane: Lane, utterance: Utterance): void {
    const held = utterance.progress.finish();
    const spoken = utterance.progress.pieces.some(({ text }) => hasWords(text));
    if (spoken && !held && !utterance.progress.audible) {
      const { name } = lane.candidate.provider;
      return this.#onFailure(lane, new BvraiError('provider.protocol', `${name} finished without a sound.`));
    }
    this.#settleRace(lane);
    if (held) this.#pass(utterance, held);
    if (this.#utterance !== utterance) return;
    this.#leaveUtterance((attempt) => attempt.succeed());
    this.#sink({ type: 'utterance-finished', utteranceId: utterance.id });
  }

  #pass(utterance: Utterance, { audio, spans }: SpokenChunk): void {
    const { id: utteranceId, atJoint } = utterance;
    utterance.atJoint = false;
    this.#sink({ type: 'audio-chunk', utteranceId, audio, spans: atJoint ? [JOINT, ...(spans ?? [])] : spans });
  }

  /** The first of two to speak serves from here on. */
  #settleRace(winner: Lane): void {
    this.#hedgeTimer.stop();
    const rival = this.#rival;
    const late = this.#serving;
    if (!rival || !late) return;
    if (winner === rival) {
      late.attempt?.loseHedge();
      winner.candidate.health.hedgeWon();
      this.#serving = rival;
      this.#rival = undefined;
      this.#tellSwitch(late, rival, 'slow');
      late.stream?.close();
    } else this.#dropRival();
  }

  #dropRival(): void {
    const rival = this.#rival;
    if (!rival) return;
    this.#rival = undefined;
    rival.attempt?.abandon();
    rival.stream?.close();
    // It has not failed: it may be asked again.
    this.#remaining.unshift(rival.candidate);
  }

  #onFailure(lane: Lane, error: BvraiError): void {
    if (this.#closed || (lane !== this.#serving && lane !== this.#rival)) return;
    const { provider, health } = lane.candidate;
    const facts = { stage: 'tts', provider: provider.name, code: error.code, reason: error.message };
    this.#context.log.warn(facts, 'provider failed');
    // A stream that dies between two utterances is a failure as well.
    (lane.attempt ?? health.begin()).fail(error);
    lane.attempt = undefined;
    lane.stream?.close();
    this.#watchdog.stop();
    if (lane === this.#rival) {
      this.#rival = undefined;
      return;
    }
    this.#repeated = this.#isWorthRepeating(lane, error);
    if (this.#repeated) this.#remaining.unshift(lane.candidate);
    this.#serveNext(error);
  }

  #isWorthRepeating({ candidate }: Lane, error: BvraiError): boolean {
    const hasOther = this.#rival !== undefined || this.#remaining.some(({ isLastResort }) => isLastResort !== true);
    if (this.#repeated || candidate.isLastResort || hasOther || this.#utterance?.progress.audible) return false;
    return isWorthAnother(error, candidate.health);
  }

  #tellSwitch(from: Lane, to: Lane, code: string): void {
    const change = { stage: 'tts' as const, from: from.candidate.provider.name, to: to.candidate.provider.name, code };
    this.#context.onSwitch?.(change);
  }
}
