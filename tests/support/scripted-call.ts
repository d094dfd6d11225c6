/**
 * A call without sockets, on a virtual clock: the real session between a model of Twilio's playback buffer and scripted
 * providers. The scripts only decide when something arrives, not what the session makes of it.
 */
import { VirtualClock } from '../../src/core/clock.ts';
import { BvraiError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { BYTES_PER_MS, FRAME_BYTES } from '../../src/media/call-port.ts';
import type { CallPort } from '../../src/media/call-port.ts';
import type { VadEngine, VadEvent, VadSink } from '../../src/media/vad/vad.ts';
import { agentSchema, toAgentConfig } from '../../src/control/agents/schema.ts';
import type { CallEvent } from '../../src/pipeline/events.ts';
import type {
  LlmPart,
  LlmProvider,
  LlmRequest,
  Sink,
  SttPart,
  SttProvider,
  TtsPart,
  TtsProvider,
} from '../../src/pipeline/providers/spec.ts';
import { CallSession } from '../../src/pipeline/session/session.ts';
import { Loudspeaker, writeLetters } from './loudspeaker.ts';

/** What a scripted model does with a request: text pieces and when they come, and how it ends. */
export interface ScriptedReply {
  readonly pieces: readonly string[];
  /** Tools that the model wants run, after its text. */
  readonly tools?: readonly string[];
  readonly firstMs?: number;
  readonly betweenMs?: number;
  readonly end?: 'finish' | 'fail' | 'hang';
}

export interface CallScript {
  readonly agent?: Record<string, unknown>;
  readonly reply?: (request: LlmRequest) => ScriptedReply;
  /** How long after the end of speech the final comes; undefined: never. */
  readonly finalAfterMs?: number | undefined;
  /** How long after the text the audio comes; undefined: never. */
  readonly audioAfterMs?: number | undefined;
  /** Of all texts, or of those of which it says so. */
  readonly ttsFails?: boolean | ((text: string) => boolean);
  readonly echoMarks?: boolean;
  /** The caller's telephone is a loudspeaker: what the agent says comes back as their speech so much later. */
  readonly loudspeakerMs?: number;
  /** An operator can connect the caller to another number. */
  readonly canTransfer?: boolean;
}

/** Speech is modelled at this pace. */
export const MS_PER_CHARACTER = 60;

export class ScriptedCall {
  readonly clock = new VirtualClock();
  readonly events: CallEvent[] = [];
  readonly requests: LlmRequest[] = [];
  /** Everything put on the wire: `media` with its length, `mark`, `clear`, `hang-up`, at which time. */
  readonly wire: { readonly type: string; readonly atMs: number; readonly ms: number }[] = [];
  readonly session: CallSession;
  /** The far side does not read. */
  congested = false;
  released = false;
  /** Numbers that the caller was to be connected to, and how the operator says that it is done. */
  readonly transfers: { readonly to: string; readonly settle: () => void }[] = [];
  openStreams = 0;
  readonly #script: CallScript;
  #vad: VadSink | undefined;
  #stt: Sink<SttPart> | undefined;
  #tts: Sink<TtsPart> | undefined;
  #writtenMs = 0;
  #farEndsAtMs = 0;
  #clears = 0;
  readonly #loudspeaker: Loudspeaker | undefined;

  constructor(script: CallScript = {}) {
    this.#script = script;
    if (script.loudspeakerMs !== undefined) this.#loudspeaker = this.#makeLoudspeaker(script.loudspeakerMs);
    const agent = toAgentConfig('test', agentSchema.parse({ name: 'Test', ...script.agent }));
    this.session = new CallSession(this.#port(), agent, {
      clock: this.clock,
      log: silentLog,
      vad: this.#vadEngine(),
      stt: this.#sttProvider(),
      llm: this.#llmProvider(),
      tts: this.#ttsProvider(),
      onEvent: (event) => this.events.push(event),
      transfer: script.canTransfer ? (to) => new Promise((settle) => this.transfers.push({ to, settle })) : undefined,
      onReleased: () => (this.released = true),
    });
    this.session.start();
  }

  /** Lets time pass; silence (or what `say` has begun) reaches the session frame by frame. */
  advance(durationMs: number): void {
    const frame = new Uint8Array(FRAME_BYTES);
    for (let leftMs = durationMs; leftMs > 0; leftMs -= 20) {
      const ms = Math.min(20, leftMs);
      this.clock.advance(ms);
      this.#writtenMs += ms;
      this.session.onAudio(frame.subarray(0, ms * BYTES_PER_MS));
      this.#loudspeaker?.advance(this.clock.nowMs(), this.#writtenMs);
    }
  }

  /** The caller speaks for `durationMs`; the recogniser hears `text` and answers for it `finalAfterMs` after the end. */
  say(text: string, durationMs = 1_000): void {
    const startedAtMs = this.#writtenMs;
    this.#voice('speech-started', startedAtMs, 64);
    for (let spokenMs = 64; spokenMs < durationMs; spokenMs += 32) this.#goOn(startedAtMs, spokenMs);
    const endedAtMs = this.#writtenMs;
    this.advance(100);
    this.#vad?.onEvent({
      type: 'speech-ended',
      startedAtMs,
      speechMs: durationMs,
      atMs: endedAtMs,
      detectedAtMs: this.#writtenMs,
    });
    const { finalAfterMs = 100 } = this.#script;
    if (!('finalAfterMs' in this.#script) || this.#script.finalAfterMs !== undefined) {
      this.clock.after(finalAfterMs, () => this.final(text));
    }
  }

  /** A sound begins that the detector takes for a voice, and does not end; it is `durationMs` old when this returns. */
  beginNoise(durationMs = 1_000): void {
    const startedAtMs = this.#writtenMs;
    this.#voice('speech-started', startedAtMs, 64);
    for (let spokenMs = 64; spokenMs < durationMs; spokenMs += 32) this.#goOn(startedAtMs, spokenMs);
  }

  /** An interim transcript arrives. */
  interim(text: string): void {
    this.#stt?.({ type: 'transcript-interim', text, confidence: 1 });
  }

  /** A part from a recogniser that decides turns itself. */
  model(part: Extract<SttPart, { type: 'turn-end-likely' | 'turn-resumed' | 'turn-ended' }>): void {
    this.#stt?.(part);
  }

  /** A final transcript arrives. */
  final(text: string): void {
    this.#stt?.({ type: 'transcript-final', text, confidence: 1, words: [], speechFinal: false, fromFinalize: true });
  }

  /** Another recogniser is there, in place of one that was lost; it is given the caller's audio of the last `audioAgeMs`, or all. */
  openRecogniser(audioAgeMs?: number): void {
    this.#stt?.({ type: 'stream-opened', audioAgeMs });
  }

  failRecogniser(): void {
    this.#stt?.({ type: 'stream-failed', error: new BvraiError('provider.closed', 'scripted') });
  }

  /** The events of one type. */
  of<Type extends CallEvent['type']>(type: Type): Extract<CallEvent, { type: Type }>[] {
    return this.events.filter((event): event is Extract<CallEvent, { type: Type }> => event.type === type);
  }

  /** Audio put on the wire from `fromMs` on, in ms. */
  sentMs(fromMs = 0): number {
    return this.wire
      .filter(({ type, atMs }) => type === 'media' && atMs >= fromMs)
      .reduce((sum, { ms }) => sum + ms, 0);
  }

  #voice(type: 'speech-started', startedAtMs: number, afterMs: number): void {
    this.advance(afterMs);
    this.#vad?.onEvent({ type, atMs: startedAtMs, detectedAtMs: this.#writtenMs });
  }

  #goOn(startedAtMs: number, speechMs: number): void {
    this.advance(32);
    const detectedAtMs = this.#writtenMs;
    this.#vad?.onEvent({ type: 'speech-continued', startedAtMs, speechMs, faded: false, detectedAtMs });
  }

  #makeLoudspeaker(delayMs: number): Loudspeaker {
    const ears = {
      voice: (event: VadEvent) => this.#vad?.onEvent(event),
      interim: (text: string) => this.clock.after(150, () => this.interim(text)),
      final: (text: string) => this.clock.after(150, () => this.final(text)),
    };
    return new Loudspeaker(ears, delayMs);
  }

  #port(): CallPort {
    const put = (type: string, ms = 0) => this.wire.push({ type, atMs: this.clock.nowMs(), ms });
    return {
      info: { streamSid: 'MZ1', callSid: 'CA1', accountSid: 'AC1', customParameters: {} },
      sendMedia: (payload) => {
        const ms = payload.length / BYTES_PER_MS;
        put('media', ms);
        this.#farEndsAtMs = Math.max(this.#farEndsAtMs, this.clock.nowMs()) + ms;
        this.#loudspeaker?.play(payload, this.clock.nowMs(), BYTES_PER_MS);
      },
      sendMark: (name) => {
        put('mark');
        if (this.#script.echoMarks === false) return;
        const clears = this.#clears;
        const playedInMs = this.#farEndsAtMs - this.clock.nowMs();
        this.clock.after(playedInMs, () => clears === this.#clears && this.session.onMark(name));
      },
      sendClear: () => {
        put('clear');
        this.#clears++;
        this.#farEndsAtMs = this.clock.nowMs();
        this.#loudspeaker?.clear(this.clock.nowMs());
      },
      isCongested: () => this.congested,
      hangUp: () => {
        put('hang-up');
        this.session.onEnd('local');
      },
    };
  }

  #vadEngine(): VadEngine {
    return {
      name: 'energy',
      droppedWindows: 0,
      createDetector: (sink) => {
        this.#vad = sink;
        this.openStreams++;
        return { positionMs: 0, write: () => {}, close: () => this.openStreams-- };
      },
      close: () => Promise.resolve(),
    };
  }

  #sttProvider(): SttProvider {
    return {
      name: 'scripted',
      open: (_request, sink) => {
        this.#stt = sink;
        this.openStreams++;
        return { write: () => {}, hint: () => {}, close: () => this.openStreams-- };
      },
    };
  }

  #llmProvider(): LlmProvider {
    return {
      name: 'scripted',
      generate: (request, sink) => {
        this.requests.push(request);
        const reply = this.#script.reply?.(request) ?? { pieces: ['All right.'] };
        const timers = this.#schedule(reply, sink);
        return { abort: () => timers.forEach((timer) => timer.cancel()) };
      },
    };
  }

  #schedule({ pieces, tools = [], firstMs = 200, betweenMs = 20, end = 'finish' }: ScriptedReply, sink: Sink<LlmPart>) {
    const timers = pieces.map((text, index) =>
      this.clock.after(firstMs + index * betweenMs, () => sink({ type: 'text-delta', text })),
    );
    const endMs = firstMs + pieces.length * betweenMs;
    for (const name of tools) {
      const call = { id: `call-${name}`, name, arguments: '{}' };
      timers.push(this.clock.after(endMs, () => sink({ type: 'tool-called', call })));
    }
    if (end === 'finish')
      timers.push(this.clock.after(endMs, () => sink({ type: 'generation-finished', reason: 'stop' })));
    if (end === 'fail') {
      const error = new BvraiError('provider.overloaded', 'scripted');
      timers.push(this.clock.after(endMs, () => sink({ type: 'generation-failed', error })));
    }
    return timers;
  }

  /** Speaks at a constant pace, one chunk a clause, in order. */
  #ttsProvider(): TtsProvider {
    return {
      name: 'scripted',
      open: (_request, sink) => {
        this.#tts = sink;
        this.openStreams++;
        return {
          speak: (utteranceId, text) => this.#whenSpoken(() => this.#speak(utteranceId, text)),
          finish: (utteranceId) => this.#whenSpoken(() => this.#tts?.({ type: 'utterance-finished', utteranceId })),
          cancel: () => {},
          close: () => this.openStreams--,
        };
      },
    };
  }

  #whenSpoken(run: () => void): void {
    const { audioAfterMs = 100 } = this.#script;
    if ('audioAfterMs' in this.#script && this.#script.audioAfterMs === undefined) return;
    this.clock.after(audioAfterMs, run);
  }

  #speak(utteranceId: string, text: string): void {
    const { ttsFails = false } = this.#script;
    if (typeof ttsFails === 'function' ? ttsFails(text) : ttsFails) {
      const error = new BvraiError('provider.overloaded', 'scripted');
      this.#tts?.({ type: 'utterance-failed', utteranceId, error });
      return;
    }
    const durationMs = text.trim().length * MS_PER_CHARACTER;
    const audio = writeLetters(text.trim(), MS_PER_CHARACTER * BYTES_PER_MS, BYTES_PER_MS);
    this.#tts?.({ type: 'audio-chunk', utteranceId, audio, spans: [{ text, startMs: 0, durationMs }] });
  }
}
