/**
 * The driver of one call: feeds the pure machine of `step.ts` with what the wire, the voice detector and the providers say,
 * and performs the actions it asks for. Owns everything the call uses and releases all of it when the call ends.
 */
import type { Clock, Timer } from '../../core/clock.ts';
import { BvraiError, unreachable } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { BYTES_PER_MS } from '../../media/call-port.ts';
import type { CallListener, CallPort, WireEndReason } from '../../media/call-port.ts';
import type { VadDetector, VadEngine, VadEvent } from '../../media/vad/vad.ts';
import type { CallEndReason, CallEvent, CallEventBody } from '../events.ts';
import type { AgentConfig } from '../ports.ts';
import type {
  LlmPart,
  LlmProvider,
  LlmStream,
  ProviderSwitch,
  StreamContext,
  SttPart,
  SttProvider,
  SttStream,
  TtsPart,
  TtsProvider,
  TtsStream,
  UsageMeter,
} from '../providers/spec.ts';
import { PauseHints } from './pause-hints.ts';
import { ReplyPlayer } from './reply-player.ts';
import type { Action, CallState, SessionEvent } from './state.ts';
import { newCall } from './state.ts';
import { nextWakeMs, step } from './step.ts';
import { sttRequestOf, ttsRequestOf } from './stream-requests.ts';

/** What a call needs from outside. The three routes speak for whichever provider serves. */
export interface SessionDependencies {
  readonly clock: Clock;
  readonly log: Log;
  readonly vad: VadEngine;
  readonly stt: SttProvider;
  readonly llm: LlmProvider;
  readonly tts: TtsProvider;
  /** False: the first message is this call's own, because variables were filled in. */
  readonly greetsAlike?: boolean | undefined;
  /** Counts what the call asks of providers. */
  readonly usage?: UsageMeter | undefined;
  /** Receives the call's events in order. Must not throw or block. */
  readonly onEvent: (event: CallEvent) => void;
  /** Connects the caller to another number; absent: that cannot be done. Settles within seconds. */
  readonly transfer?: ((to: string) => Promise<void>) | undefined;
  /** The call has released everything it used. */
  readonly onReleased?: () => void;
}

/** A reply may have no more than this many tokens: a model that never stops is stopped. */
const MAX_REPLY_TOKENS = 400;
/** A pause is told to the machine early, since it can take back what it begins on a pause. */
const VAD_SETTINGS = { minSilenceMs: 96 };
/** Events that one step causes are few; more than this means that the machine and the driver feed each other in circles. */
const MAX_EVENTS_PER_DISPATCH = 10_000;

const END_REASONS: Readonly<Record<WireEndReason, CallEndReason>> = {
  stop: 'caller-hung-up',
  'socket-closed': 'connection-lost',
  idle: 'connection-idle',
  protocol: 'protocol-violation',
  overrun: 'protocol-violation',
  backpressure: 'connection-lost',
  local: 'agent-hung-up',
};

/** One live call. Created when the wire has started; `start` opens the streams and greets. */
export class CallSession implements CallListener {
  readonly #port: CallPort;
  readonly #deps: SessionDependencies;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #scope = new AbortController();
  readonly #player: ReplyPlayer;
  readonly #queue: SessionEvent[] = [];
  #state: CallState;
  #dispatching = false;
  #released = false;
  #isHandedOver = false;
  #detector: VadDetector | undefined;
  #stt: SttStream | undefined;
  #tts: TtsStream | undefined;
  #llm: { readonly generation: number; readonly stream: LlmStream } | undefined;
  #callerBytes = 0;
  #wakeTimer: Timer | undefined;
  #hints: PauseHints | undefined;

  constructor(port: CallPort, agent: AgentConfig, deps: SessionDependencies) {
    this.#port = port;
    this.#deps = deps;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#player = new ReplyPlayer(port, deps.clock, {
      onAudible: (generation) => this.#dispatch({ type: 'reply-audible', generation }),
      onHeard: (heard) => this.#dispatch({ type: 'reply-heard', heard }),
    });
    this.#state = newCall(deps.transfer ? agent : withoutTransfer(agent), deps.clock.nowMs(), deps.greetsAlike);
  }

  /** Opens the recogniser and the synthesiser and lets the agent greet. */
  start(): void {
    const { agent } = this.#state;
    const context = this.#context();
    this.#tts = this.#deps.tts.open(ttsRequestOf(agent), (part) => this.#onTts(part), context);
    this.#stt = this.#deps.stt.open(sttRequestOf(agent), (part) => this.#onStt(part), context);
    this.#hints = new PauseHints(this.#stt, this.#clock);
    this.#detector = this.#deps.vad.createDetector({ onEvent: (event) => this.#onVoice(event) }, VAD_SETTINGS);
    this.#dispatch({ type: 'call-started' });
  }

  /** The server is about to stop: the agent says so and hangs up. */
  leave(): void {
    this.#dispatch({ type: 'leave' });
  }

  /** The agent says this now, instead of what it may be saying. */
  say(text: string): void {
    this.#dispatch({ type: 'say', text });
  }

  /** Ends the call at once. */
  end(reason: CallEndReason): void {
    this.#dispatch({ type: 'call-lost', reason });
  }

  #context(): StreamContext {
    const onSwitch = (change: ProviderSwitch): void => this.#emit({ type: 'provider-switched', ...change });
    const { usage } = this.#deps;
    return { log: this.#log, clock: this.#clock, signal: this.#scope.signal, usage, onSwitch };
  }

  // --- What the wire says ----------------------------------------------------------------------------------------

  onAudio(payload: Uint8Array): void {
    if (this.#released) return;
    this.#callerBytes += payload.length;
    this.#stt?.write(payload);
    this.#detector?.write(payload);
  }

  onMark(name: string): void {
    this.#player.onMark(name);
  }

  onDtmf(digit: string): void {
    this.#dispatch({ type: 'dtmf', digit });
  }

  onEnd(reason: WireEndReason): void {
    this.#dispatch({ type: 'call-lost', reason: END_REASONS[reason] });
  }

  // --- What the detector and the providers say -------------------------------------------------------------------

  #onVoice(event: VadEvent): void {
    switch (event.type) {
      case 'speech-started':
        this.#hints?.started(this.#callerBytes / BYTES_PER_MS - event.atMs);
        return this.#dispatch({ type: 'voice-started', startedAtMs: this.#clockTimeOf(event.atMs) });
      case 'speech-continued': {
        const heard = this.#player.heardSpeech();
        const voicedAtMs = this.#clockTimeOf(event.detectedAtMs);
        const { speechMs, faded } = event;
        return this.#dispatch({ type: 'voice-continued', speechMs, voicedAtMs, faded, heard });
      }
      case 'speech-faded':
        return this.#dispatch({ type: 'voice-faded' });
      case 'speech-ended': {
        const endedAtMs = this.#clockTimeOf(event.atMs);
        this.#hints?.endedAt(endedAtMs);
        return this.#dispatch({ type: 'voice-ended', endedAtMs });
      }
      default:
        return unreachable(event);
    }
  }

  /** Positions in the caller's audio become times on the call's clock: the newest byte written is now. */
  #clockTimeOf(audioMs: number): number {
    return this.#clock.nowMs() - Math.max(0, this.#callerBytes / BYTES_PER_MS - audioMs);
  }

  #onStt(part: SttPart): void {
    switch (part.type) {
      case 'transcript-interim':
        return this.#dispatch({ type: 'transcript-interim', text: part.text, confidence: part.confidence });
      case 'transcript-final': {
        const settled = part.speechFinal || part.fromFinalize;
        return this.#dispatch({ type: 'transcript-final', text: part.text, confidence: part.confidence, settled });
      }
      case 'utterance-ended':
        return this.#dispatch({ type: 'transcript-final', text: '', confidence: 0, settled: true });
      case 'stream-failed':
        this.#log.error({ code: part.error.code, reason: part.error.message }, 'no recogniser can serve this call');
        return this.#dispatch({ type: 'stt-failed', code: part.error.code });
      case 'turn-end-likely':
      case 'turn-resumed':
      case 'turn-ended':
        return this.#dispatch(part);
      case 'stream-opened':
        return this.#dispatch({
          type: 'recogniser-opened',
          hearsFromMs: this.#clock.nowMs() - (part.audioAgeMs ?? Infinity),
        });
      case 'speech-started':
        return;
      default:
        return unreachable(part);
    }
  }

  #onLlm(generation: number, part: LlmPart): void {
    if (this.#llm?.generation !== generation) return;
    switch (part.type) {
      case 'text-delta':
        return this.#dispatch({ type: 'llm-text', generation, text: part.text });
      case 'tool-called':
        return this.#dispatch({ type: 'llm-tool', generation, call: part.call });
      case 'generation-finished':
        this.#llm = undefined;
        return this.#dispatch({ type: 'llm-finished', generation });
      case 'generation-failed':
        this.#llm = undefined;
        this.#log.error({ code: part.error.code, reason: part.error.message }, 'no model could answer this turn');
        return this.#dispatch({ type: 'llm-failed', generation, code: part.error.code });
      default:
        return unreachable(part);
    }
  }

  #onTts(part: TtsPart): void {
    if (part.type === 'stream-failed') {
      this.#log.error({ code: part.error.code, reason: part.error.message }, 'no synthesiser can serve this call');
      const { generation } = this.#player;
      if (generation !== undefined) this.#dispatch({ type: 'tts-failed', generation, code: part.error.code });
      return;
    }
    const generation = Number(part.utteranceId);
    switch (part.type) {
      case 'audio-chunk':
        // Audio of a reply that has been cut is refused here: nothing of it reaches the wire after the clear.
        if (this.#player.generation !== generation || this.#player.push(generation, part.audio, part.spans)) return;
        this.#log.warn(
          { generation, pending_ms: this.#player.pendingMs },
          'reply too long for the playout ledger, cut',
        );
        return this.#tts?.cancel(part.utteranceId);
      case 'utterance-finished':
        return this.#player.finish(generation);
      case 'utterance-failed':
        this.#log.error({ code: part.error.code, reason: part.error.message }, 'no synthesiser could say this reply');
        return this.#dispatch({ type: 'tts-failed', generation, code: part.error.code });
      default:
        return unreachable(part);
    }
  }

  // --- The machine -------------------------------------------------------------------------------------------------

  /** Runs the event, and every event that its actions cause, to the end before it returns. */
  #dispatch(event: SessionEvent): void {
    if (this.#released) return;
    this.#queue.push(event);
    if (this.#dispatching) return;
    this.#dispatching = true;
    try {
      for (let count = 0; ; count++) {
        const next = this.#queue.shift();
        if (!next) break;
        if (count > MAX_EVENTS_PER_DISPATCH)
          throw new BvraiError('internal', 'The call machine feeds itself in circles.');
        this.#runStep(next);
      }
      this.#scheduleWake();
    } catch (thrown) {
      this.#fail(thrown);
    } finally {
      this.#dispatching = false;
    }
    if (this.#state.phase.type === 'ended') this.#release();
  }

  #runStep(event: SessionEvent): void {
    const { phase, agent } = this.#state;
    if (phase.type === 'speaking' && agent.turnTaking.neverInterrupt.length > 0)
      this.#take({ type: 'reply-observed', heard: this.#player.heardSpeech() });
    this.#take(event);
  }

  #take(event: SessionEvent): void {
    const { state, actions } = step(this.#state, event, this.#clock.nowMs());
    this.#state = state;
    for (const action of actions) this.#perform(action);
  }

  #perform(action: Action): void {
    switch (action.type) {
      case 'emit':
        return this.#emit(action.event);
      case 'start-llm':
        return this.#startLlm(action);
      case 'speak':
        this.#player.begin(action.generation, action.held);
        return this.#tts?.speak(String(action.generation), action.text, { fixed: action.fixed });
      case 'finish-speech':
        this.#player.begin(action.generation);
        return this.#tts?.finish(String(action.generation));
      case 'hold-reply':
        return this.#player.hold(action.generation);
      case 'resume-reply':
        return this.#resumeReply(action.generation);
      case 'cut-reply':
        return this.#cutReply(action.generation);
      case 'hang-up':
        return this.#port.hangUp();
      case 'transfer':
        return this.#transfer(action.to);
      default:
        return unreachable(action);
    }
  }

  /** The line is let go only when the operator has taken the call over: closing it earlier would end the call. */
  #transfer(to: string): void {
    const { transfer } = this.#deps;
    if (!transfer) return this.#port.hangUp();
    this.#isHandedOver = true;
    transfer(to).then(
      () => this.#port.hangUp(),
      (thrown: unknown) => {
        this.#log.error({ err: BvraiError.from(thrown) }, 'the call could not be transferred');
        this.#port.hangUp();
      },
    );
  }

  #emit(event: CallEventBody): void {
    this.#deps.onEvent({ at_ms: Math.round(this.#clock.nowMs() - this.#state.startedAtMs), ...event });
  }

  #startLlm({ generation, messages, tools }: Extract<Action, { type: 'start-llm' }>): void {
    const { questionsAndAnswers } = this.#state.agent;
    const context = this.#context();
    const request = { messages, tools, questionsAndAnswers, maxOutputTokens: MAX_REPLY_TOKENS };
    const stream = this.#deps.llm.generate(request, (part) => this.#onLlm(generation, part), context);
    this.#llm = { generation, stream };
  }

  #resumeReply(generation: number): void {
    const resumed = this.#player.resume(generation);
    if (!resumed) return;
    this.#queue.push({ type: 'reply-resumed', generation, repeatedMs: resumed.repeatedMs });
    this.#player.poll();
  }

  /** The order matters: silence the caller's line first, then stop making more, then say how much was heard. */
  #cutReply(generation: number): void {
    const playing = this.#player.generation === generation;
    const heard = this.#player.cut(generation);
    if (this.#llm?.generation === generation) {
      this.#llm.stream.abort();
      this.#llm = undefined;
    }
    if (playing) this.#tts?.cancel(String(generation));
    this.#queue.unshift({ type: 'reply-cut', generation, heard });
  }

  #scheduleWake(): void {
    this.#wakeTimer?.cancel();
    this.#wakeTimer = undefined;
    const nowMs = this.#clock.nowMs();
    const wakeMs = nextWakeMs(this.#state, nowMs);
    if (wakeMs !== undefined)
      this.#wakeTimer = this.#clock.after(wakeMs - nowMs, () => this.#dispatch({ type: 'tick' }));
  }

  /** A fault of ours ends this call, with a reason, and no other. */
  #fail(thrown: unknown): void {
    const error = BvraiError.from(thrown);
    this.#log.error({ err: error, code: error.code }, 'call ended by an internal error');
    this.#queue.length = 0;
    if (this.#state.phase.type !== 'ended') {
      this.#state = { ...this.#state, phase: { type: 'ended', reason: 'internal-error' } };
      this.#emit({ type: 'call-ended', reason: 'internal-error' });
    }
    this.#release();
  }

  #release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#wakeTimer?.cancel();
    this.#player.close();
    this.#hints?.close();
    this.#llm?.stream.abort();
    this.#stt?.close();
    this.#tts?.close();
    this.#detector?.close();
    this.#scope.abort();
    if (!this.#isHandedOver) this.#port.hangUp();
    this.#deps.onReleased?.();
  }
}

/** Where nobody can connect the caller to a person, the agent must not promise it. */
function withoutTransfer(agent: AgentConfig): AgentConfig {
  const { fallback } = agent;
  if (fallback.action !== 'transfer') return agent;
  return { ...agent, fallback: { action: 'hang-up', message: '', transferTo: undefined } };
}
