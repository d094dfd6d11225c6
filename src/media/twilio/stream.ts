/**
 * One Twilio media stream: the messages of a socket on one side, a {@link CallPort} and its {@link CallListener} on the other.
 *
 * waiting → live → ended. A socket waits until a valid, authorised `start`; it is live until the first of: `stop`, a closed
 * socket, a broken rule, a peer that neither sends nor takes, a listener that throws, `hangUp`. Ending cancels every timer, closes
 * the socket and tells the listener, once; afterwards everything is a no-op. Bad input is dropped and counted (docs/reliability.md,
 * faults 1–15); nothing a peer sends is thrown at anyone.
 */
import type { Clock, Timer } from '../../core/clock.ts';
import { BvraiError, unreachable } from '../../core/errors.ts';
import type { Log, LogFields } from '../../core/log.ts';
import { BYTES_PER_MS } from '../call-port.ts';
import type { CallInfo, CallListener, CallPort, WireEndReason } from '../call-port.ts';
import type { MediaSocket, MediaSocketHandler } from '../socket/socket.ts';
import { AudioBudget } from './audio-budget.ts';
import { FaultLog } from './faults.ts';
import type { StreamFault } from './faults.ts';
import { IdleWatch } from './idle-watch.ts';
import { InboundAudio } from './inbound-audio.ts';
import { DEFAULT_STREAM_LIMITS } from './limits.ts';
import type { StreamLimits } from './limits.ts';
import { TwilioReader, TwilioWriter } from './messages.ts';
import type { MediaMessage, TwilioMessage } from './messages.ts';
import { Outbound } from './outbound.ts';
import type { StartFacts, StartVerdict, StreamStats, TwilioStreamOptions } from './stream-options.ts';

/** Serves one socket; the returned handler is to be given to its listener. */
export function serveTwilioStream(socket: MediaSocket, options: TwilioStreamOptions): MediaSocketHandler {
  return new TwilioStream(socket, options);
}

/** RFC 6455 close codes, with the one word that the peer is told. */
const CLOSE = {
  normal: 1000,
  goingAway: 1001,
  unsupported: 1003,
  policy: 1008,
  internal: 1011,
  tryAgain: 1013,
} as const;

interface Call {
  readonly info: CallInfo;
  readonly audio: InboundAudio;
  /** Undefined while `accept` runs. */
  listener: CallListener | undefined;
}

class TwilioStream implements MediaSocketHandler {
  readonly #socket: MediaSocket;
  readonly #options: TwilioStreamOptions;
  readonly #clock: Clock;
  readonly #limits: StreamLimits;
  readonly #reader = new TwilioReader();
  readonly #outbound: Outbound;
  readonly #budget: AudioBudget;
  readonly #idle: IdleWatch;
  readonly #faults: FaultLog;
  readonly #openedMs: number;
  #log: Log;
  #startTimer: Timer | undefined;
  #audioTimer: Timer | undefined;
  #call: Call | undefined;
  #outcome: WireEndReason | 'refused' | undefined;
  #badFrames = 0;
  #framesIn = 0;
  #pings = 0;

  constructor(socket: MediaSocket, options: TwilioStreamOptions) {
    const { clock } = options;
    this.#socket = socket;
    this.#options = options;
    this.#clock = clock;
    this.#limits = { ...DEFAULT_STREAM_LIMITS, ...options.limits };
    this.#log = options.log.child({ remoteAddress: socket.remoteAddress });
    this.#faults = new FaultLog(this.#log);
    this.#openedMs = clock.nowMs();
    this.#budget = new AudioBudget(this.#limits, this.#openedMs);
    this.#outbound = new Outbound(socket, clock, this.#limits, (bufferedBytes) => this.#onStuck(bufferedBytes));
    this.#idle = new IdleWatch(
      clock,
      this.#limits,
      () => this.#sendPing(),
      () => this.#fail('idle', 'idle', CLOSE.goingAway, 'the peer has gone silent and answers no ping'),
    );
    this.#startTimer = clock.after(this.#limits.startWithinMs, () => {
      this.#fail('no-start', 'protocol', CLOSE.policy, 'the socket sent no valid start in time');
    });
  }

  // --- The socket's side ---------------------------------------------------------------------------------------

  onText(text: string): void {
    if (this.#outcome) return;
    const nowMs = this.#clock.nowMs();
    this.#idle.heard(nowMs);
    this.#framesIn++;
    let message: TwilioMessage | undefined;
    let error: BvraiError | undefined;
    try {
      message = this.#reader.read(text);
    } catch (thrown) {
      error = BvraiError.from(thrown);
    }
    const audioMs = message?.type === 'media' ? message.payload.length / BYTES_PER_MS : 0;
    if (!this.#budget.spend(audioMs, text.length, nowMs)) {
      this.#fail('overrun', 'overrun', CLOSE.policy, 'the peer sends more than real time allows');
    } else if (message) {
      this.#onMessage(message, nowMs);
    } else if (error) {
      this.#onUnreadable(error);
    }
  }

  onBinary(byteLength: number): void {
    if (this.#outcome) return;
    this.#idle.heard(this.#clock.nowMs());
    this.#framesIn++;
    this.#faults.report('binary-frame', 'dropped a binary frame', { byteLength });
    this.#countBadFrame();
  }

  onPong(): void {
    this.#idle.heard(this.#clock.nowMs());
  }

  onDrain(): void {
    this.#outbound.drained();
  }

  onClose(code: number, detail: string): void {
    if (this.#outcome) return;
    if (detail) this.#faults.report('socket-failed', 'the socket failed', { code, detail });
    this.#call?.audio.flush();
    this.#end('socket-closed', undefined, `the peer closed the socket (${code})`);
  }

  // --- Messages ------------------------------------------------------------------------------------------------

  #onMessage(message: TwilioMessage, nowMs: number): void {
    switch (message.type) {
      case 'connected':
        return;
      case 'start':
        this.#onStart(message.info, nowMs);
        return;
      case 'unknown':
        this.#faults.report('unknown-event', 'ignored an unknown event', { event: message.event });
        return;
      case 'media':
      case 'mark':
      case 'dtmf':
      case 'stop':
        break;
      default:
        unreachable(message);
    }
    const call = this.#call;
    if (!call) {
      this.#faults.report('before-start', 'ignored a message before the start', { event: message.type });
    } else if (message.streamSid !== call.info.streamSid) {
      const claimed = message.streamSid.slice(0, 64);
      this.#faults.report('wrong-stream', 'dropped a message for another stream', { event: message.type, claimed });
    } else if (message.type === 'media') {
      this.#onMedia(call, message, nowMs);
    } else if (message.type === 'stop') {
      call.audio.flush();
      this.#end('stop', CLOSE.normal, 'stop');
    } else if (message.type === 'mark') {
      const { name } = message;
      this.#tell((listener) => listener.onMark(name));
    } else {
      const { digit } = message;
      this.#tell((listener) => listener.onDtmf(digit));
    }
  }

  #onMedia(call: Call, media: MediaMessage, nowMs: number): void {
    if (media.track !== 'inbound') {
      this.#faults.report('outbound-track', 'dropped audio of the outbound track');
      return;
    }
    const outcome = call.audio.push(media, nowMs);
    if (outcome === 'old') {
      this.#faults.report('old-frame', 'dropped a duplicate or late frame', { chunk: media.chunk });
    } else if (outcome === 'held') {
      // Its deadline is nearer than the one the timer waits for.
      this.#scheduleAudio();
    }
  }

  #onUnreadable(error: BvraiError): void {
    const { event } = error.details;
    if (event === 'media') {
      this.#faults.report('bad-media', 'dropped a media message', { error });
      return;
    }
    this.#faults.report('bad-frame', 'dropped a frame that is no message', { error });
    if (error.code === 'wire.unsupported') {
      this.#end('protocol', CLOSE.unsupported, 'unsupported media format');
      return;
    }
    this.#countBadFrame();
  }

  #countBadFrame(): void {
    if (++this.#badFrames < this.#limits.maxBadFrames) return;
    this.#end('protocol', CLOSE.policy, 'too many bad frames');
  }

  // --- The start -----------------------------------------------------------------------------------------------

  #onStart(info: CallInfo, nowMs: number): void {
    if (this.#call) {
      const { streamSid, callSid } = info;
      this.#fail('second-start', 'protocol', CLOSE.policy, 'security: a second start on one socket', {
        security: true,
        claimed: { streamSid, callSid },
      });
      return;
    }
    this.#log = this.#log.child({ streamSid: info.streamSid, callSid: info.callSid });
    this.#faults.bind(this.#log);
    const verdict = this.#authorise({ ...info, remoteAddress: this.#socket.remoteAddress });
    if (!verdict.ok) {
      this.#fail('start-refused', 'protocol', CLOSE.policy, 'security: refused the start of a stream', {
        security: true,
        reason: verdict.reason,
      });
      return;
    }
    this.#startTimer?.cancel();
    this.#socket.markStarted();
    const audio = new InboundAudio(this.#limits, nowMs, (payload) => this.#deliver(payload));
    const call: Call = { info, audio, listener: undefined };
    this.#call = call;
    this.#log.info({}, 'media stream started');
    this.#accept(call);
    if (!this.#outcome) this.#scheduleAudio();
  }

  #authorise(facts: StartFacts): StartVerdict {
    try {
      return this.#options.authorise(facts);
    } catch (thrown) {
      this.#log.error({ error: BvraiError.from(thrown) }, 'the check of a stream start failed');
      return { ok: false, reason: 'the check failed' };
    }
  }

  #accept(call: Call): void {
    try {
      call.listener = this.#options.accept(this.#portFor(call.info));
    } catch (thrown) {
      this.#onListenerThrew(thrown);
      return;
    }
    // It may have hung up before its listener was known.
    if (this.#outcome && this.#outcome !== 'refused') this.#tellEnd(this.#outcome);
  }

  #portFor(info: CallInfo): CallPort {
    const writer = new TwilioWriter(info.streamSid);
    return {
      info,
      sendMedia: (payload) => {
        if (!this.#outcome) this.#outbound.send(writer.media(payload), payload.length / BYTES_PER_MS);
      },
      sendMark: (name) => {
        if (!this.#outcome) this.#outbound.send(writer.mark(name), 0);
      },
      sendClear: () => {
        if (!this.#outcome) this.#outbound.send(writer.clear(), 0);
      },
      isCongested: () => this.#outbound.congested,
      hangUp: () => this.#end('local', CLOSE.normal, 'hang-up', 'later'),
    };
  }

  // --- The listener's side -------------------------------------------------------------------------------------

  #deliver(payload: Uint8Array): void {
    const listener = this.#call?.listener;
    if (this.#outcome || !listener) return;
    try {
      listener.onAudio(payload);
    } catch (thrown) {
      this.#onListenerThrew(thrown);
    }
  }

  #tell(call: (listener: CallListener) => void): void {
    const listener = this.#call?.listener;
    if (this.#outcome || !listener) return;
    try {
      call(listener);
    } catch (thrown) {
      this.#onListenerThrew(thrown);
    }
  }

  #onListenerThrew(thrown: unknown): void {
    this.#faults.report('listener-threw', 'the conversation threw; its call ends', { error: BvraiError.from(thrown) });
    this.#end('local', CLOSE.internal, 'internal error');
  }

  /** Silence and held frames come due on a timer, which moves along with the frames that arrive. */
  #scheduleAudio(): void {
    const { audio } = this.#call ?? {};
    if (!audio || this.#outcome) return;
    this.#audioTimer?.cancel();
    const nowMs = this.#clock.nowMs();
    this.#audioTimer = this.#clock.after(audio.nextDueMs(nowMs) - nowMs, () => {
      audio.tick(this.#clock.nowMs());
      this.#scheduleAudio();
    });
  }

  #sendPing(): void {
    this.#pings++;
    this.#socket.ping();
  }

  // --- The end -------------------------------------------------------------------------------------------------

  #onStuck(bufferedBytes: number): void {
    const message = 'the peer does not take our audio';
    this.#fail('backpressure', 'backpressure', CLOSE.tryAgain, message, { bufferedBytes }, 'later');
  }

  #fail(
    fault: StreamFault,
    reason: WireEndReason,
    closeCode: number,
    message: string,
    fields: LogFields = {},
    when: 'now' | 'later' = 'now',
  ): void {
    if (this.#outcome) return;
    this.#faults.report(fault, message, { ...fields, closeCode });
    this.#end(reason, closeCode, fault, when);
  }

  /** `later`: the end comes from inside a method of the port, whose caller must not be called back before it returns. */
  #end(reason: WireEndReason, closeCode: number | undefined, why: string, when: 'now' | 'later' = 'now'): void {
    if (this.#outcome) return;
    const outcome = this.#call ? reason : 'refused';
    this.#outcome = outcome;
    this.#startTimer?.cancel();
    this.#audioTimer?.cancel();
    this.#idle.stop();
    this.#outbound.stop();
    if (closeCode !== undefined) this.#socket.close(closeCode, why);
    this.#report(outcome, closeCode, why);
    if (outcome === 'refused' || !this.#call?.listener) return;
    if (when === 'later') queueMicrotask(() => this.#tellEnd(outcome));
    else this.#tellEnd(outcome);
  }

  #tellEnd(reason: WireEndReason): void {
    try {
      this.#call?.listener?.onEnd(reason);
    } catch (thrown) {
      this.#log.error({ error: BvraiError.from(thrown) }, 'the conversation threw at its end');
    }
  }

  #report(outcome: WireEndReason | 'refused', closeCode: number | undefined, why: string): void {
    const stats: StreamStats = {
      outcome,
      info: this.#call?.info,
      durationMs: Math.round(this.#clock.nowMs() - this.#openedMs),
      framesIn: this.#framesIn,
      pings: this.#pings,
      inbound: this.#call?.audio.stats,
      outbound: this.#outbound.stats,
      faults: this.#faults.counts,
    };
    const { info: _said, ...counters } = stats;
    this.#log.info({ ...counters, closeCode, why }, 'media stream ended');
    try {
      this.#options.onStats?.(stats);
    } catch (thrown) {
      this.#log.error({ error: BvraiError.from(thrown) }, 'the metrics hook threw');
    }
  }
}
