/** A stand-in for Twilio's side of a call, in real time: it rings a server, speaks, listens, and measures at the ear. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { WebSocket } from 'ws';
import {
  firstAudible,
  FRAME_MS,
  FRAME_SAMPLES,
  lastAudible,
  MULAW_SILENCE,
  mulawDecode,
  SAMPLES_PER_MS,
  speechEdges,
} from './audio.ts';
import { type CallOptions, type DialOptions, newSid, openSocket, type RingOptions, ringWebhook } from './connect.ts';
import type { CallEnd, PhoneEvent, PhoneEventBody } from './events.ts';
import { loadSpeech, Mouth, type Speech } from './mouth.ts';
import { Playback } from './playback.ts';
import { Track } from './recording.ts';
import {
  parseServerMessage,
  StreamWriter,
  WARNING_INVALID,
  WARNING_OVERFLOW,
  WARNING_TOO_SLOW,
} from './stream-wire.ts';
import { nowMs, sharedTicker } from './ticker.ts';
import { TurnMeter, type Utterance } from './turn-meter.ts';
import { CallFailed } from './voice-webhook.ts';
import { Waiters } from './waiters.ts';
import { encodeStereoWav } from './wav.ts';

export { CallFailed, CallRefused } from './voice-webhook.ts';
export { WavError } from './wav.ts';
export type { CallOptions, DialOptions, RingOptions } from './connect.ts';
export type { CallEnd, PhoneEvent } from './events.ts';
export type { Speech } from './mouth.ts';
export type { Utterance } from './turn-meter.ts';

const CLOSE_TIMEOUT_MS = 2000;
/** How much later than asked a silence may end before the wait for it is given up. */
const SILENCE_GRACE_MS = 10_000;
const DEFAULT_MAX_CALL_MS = 30 * 60 * 1000;
/** Agent quiet for this long is reported as such. */
const QUIET_MS = 400;
/** A longer pause than this between two pieces of agent speech is not an underrun but a new piece. */
const MAX_UNDERRUN_MS = 1000;
/** A server that leaves this much unread is too slow; Twilio then drops caller audio. */
const MAX_UNSENT_BYTES = 256 * 1024;
const MAX_EVENTS = 200_000;
const SILENT_FRAME = new Uint8Array(FRAME_SAMPLES).fill(MULAW_SILENCE);

/**
 * One call. Made by {@link Phone.ring} or {@link Phone.dialStream}; the stream has started when they resolve.
 * Every time is in milliseconds since that start, except where named otherwise. Whoever made it hangs up.
 */
export class Phone {
  readonly callSid: string;
  readonly accountSid: string;
  readonly streamSid = newSid('MZ');
  /** The stream's start on the process's monotonic clock (`performance.now()`). */
  readonly startedAtMs: number;
  readonly events: PhoneEvent[] = [];
  /** Resolves when the socket is closed, whoever closed it. */
  readonly ended: Promise<CallEnd>;
  readonly #options: CallOptions;
  readonly #socket: WebSocket;
  readonly #writer = new StreamWriter(this.streamSid);
  readonly #meter: TurnMeter;
  readonly #playback: Playback;
  readonly #said = new Track();
  readonly #heard = new Track();
  readonly #mouth = new Mouth();
  readonly #waiters = new Waiters();
  readonly #ticked = { nextDueMs: () => this.#nextDueMs(), tick: () => this.#tick() };
  readonly #onAbort = (): void => this.#beginHangUp();
  #state: 'live' | 'hanging-up' | 'ended' = 'live';
  #closeTimer: NodeJS.Timeout | undefined;
  #framesDue = 0;
  /** The end of the caller's last turn: what the agent says later is the answer to it. */
  #turnEndMs = -Infinity;
  #agentAudible = false;
  #underruns = 0;
  #underrunMs = 0;
  #tooSlow = false;

  /** Calls a server's voice webhook, follows its TwiML to the media socket and starts the stream. Throws {@link CallFailed}. */
  static async ring(options: RingOptions): Promise<Phone> {
    return Phone.dialStream(await ringWebhook(options));
  }

  /** Opens a media socket directly and starts the stream. Throws {@link CallFailed}. */
  static async dialStream(options: DialOptions): Promise<Phone> {
    return new Phone(options, await openSocket(options));
  }

  private constructor(options: DialOptions, socket: WebSocket) {
    this.#options = options;
    this.#socket = socket;
    this.callSid = options.callSid ?? newSid('CA');
    this.accountSid = options.accountSid ?? newSid('AC');
    this.#meter = new TurnMeter((utterance) => this.#record({ type: 'reply', utterance }, utterance.replyMs));
    this.#playback = new Playback({
      onPlayed: (atSample, mulaw) => this.#onPlayed(atSample, mulaw),
      onMark: (name, cleared) => this.#onMark(name, cleared),
      onGap: (from, to, afterClear) => this.#onGap(from / SAMPLES_PER_MS, to / SAMPLES_PER_MS, afterClear),
    });
    this.ended = new Promise((resolve) => {
      socket.once('close', (code, reason) => resolve(this.#finish(code, reason.toString('utf8'))));
    });
    socket.on('message', (data, isBinary) => {
      this.#onMessage(Buffer.isBuffer(data) && !isBinary ? data.toString('utf8') : undefined);
    });
    socket.send(this.#writer.connected());
    socket.send(this.#writer.start(this.accountSid, this.callSid, options.customParameters ?? {}));
    this.startedAtMs = nowMs();
    this.#record({ type: 'started', callSid: this.callSid, streamSid: this.streamSid }, 0);
    sharedTicker.add(this.#ticked);
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (options.signal?.aborted) this.#onAbort();
  }

  /** How long the stream has lasted (or did last, rounded down to the frame). */
  get nowMs(): number {
    return this.#state === 'ended' ? this.#framesDue * FRAME_MS : nowMs() - this.startedAtMs;
  }

  /** What the caller said so far, with what was measured for each. */
  get utterances(): readonly Utterance[] {
    return this.#meter.utterances;
  }

  /** How often, and for how long, playback ran dry in the middle of agent speech. */
  get underruns(): { readonly count: number; readonly totalMs: number } {
    return { count: this.#underruns, totalMs: this.#underrunMs };
  }

  /** What Twilio would have logged against the server. */
  get warnings(): readonly Extract<PhoneEvent, { type: 'warning' }>[] {
    return this.events.filter((event) => event.type === 'warning');
  }

  /**
   * Speaks; resolves when the last frame has been sent, with the measured utterance (undefined if nothing in the audio
   * is audible). Rejects if the call ends before that; throws {@link WavError} for a file that cannot be played.
   */
  async say(speech: Speech, label = typeof speech === 'string' ? speech : 'speech'): Promise<Utterance | undefined> {
    const mulaw = await loadSpeech(speech);
    this.#assertLive('say something');
    this.#sendDueFrames();
    const { fromSample, done } = this.#mouth.queue(mulaw, this.#framesDue);
    const edges = speechEdges(mulawDecode(mulaw));
    const endMs = (fromSample + (edges?.end ?? mulaw.length)) / SAMPLES_PER_MS;
    const utterance = edges && this.#meter.addUtterance(label, (fromSample + edges.start) / SAMPLES_PER_MS, endMs);
    this.#turnEndMs = endMs;
    if (utterance) this.#record({ type: 'said', utterance });
    await done;
    return utterance;
  }

  /** Stays silent for this long. */
  async sayNothing(durationMs: number): Promise<void> {
    const untilMs = this.nowMs + durationMs;
    await this.waitUntil(`${durationMs} ms of silence`, durationMs + SILENCE_GRACE_MS, () => this.nowMs >= untilMs);
  }

  /** Waits until the agent has answered the caller's last turn (or greeted) and was then quiet for `silenceMs`. */
  async waitForAgent(options: { readonly silenceMs?: number; readonly timeoutMs?: number } = {}): Promise<void> {
    const silenceMs = options.silenceMs ?? 800;
    await this.waitUntil('the agent to speak and finish', options.timeoutMs ?? 15_000, () => {
      const lastAudibleMs = this.#meter.lastAudibleMs ?? Infinity;
      return this.#isAnswered() && this.#playback.audiblePending === 0 && this.nowMs - lastAudibleMs >= silenceMs;
    });
  }

  /** Waits for the first audible sample of the answer to the caller's last turn (or of the greeting). */
  async waitUntilAgentSpeaks(timeoutMs = 10_000): Promise<void> {
    await this.waitUntil('the agent to speak', timeoutMs, () => this.#isAnswered());
  }

  /** Waits until `isDone`, which is asked every 20 ms; `what` names it in the error. */
  async waitUntil(what: string, timeoutMs: number, isDone: () => boolean): Promise<void> {
    this.#assertLive(`wait for ${what}`);
    await this.#waiters.until(what, timeoutMs, isDone);
  }

  /** Waits until the call is over, whoever ends it. */
  async waitForEnd(timeoutMs: number): Promise<CallEnd> {
    let timer: NodeJS.Timeout | undefined;
    const overdue = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new CallFailed(`gave up waiting for the call to end (${timeoutMs} ms)`)),
        timeoutMs,
      );
    });
    try {
      return await Promise.race([this.ended, overdue]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Presses one key (0–9, *, #, A–D). */
  pressKey(digit: string): void {
    this.#assertLive('press a key');
    this.#sendDueFrames();
    this.#turnEndMs = this.nowMs;
    this.#socket.send(this.#writer.dtmf(digit));
    this.#record({ type: 'dtmf', digit });
  }

  /** Ends the call as Twilio does: `stop`, then the socket is closed. Resolves when it is; harmless when ended already. */
  async hangUp(): Promise<CallEnd> {
    this.#beginHangUp();
    return this.ended;
  }

  /** What reached the caller's ear in a span of time: PCM16, 8 kHz. */
  heard(fromMs = 0, toMs: number = this.nowMs): Int16Array {
    return this.#heard.slice(fromMs, toMs);
  }

  /** What the caller said in a span of time: PCM16, 8 kHz. */
  said(fromMs = 0, toMs: number = this.nowMs): Int16Array {
    return this.#said.slice(fromMs, toMs);
  }

  /** Writes the call as a stereo WAV on one time line: the caller on the left, what was heard on the right. */
  async writeWav(path: string): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, encodeStereoWav(this.said(), this.heard()));
  }

  #beginHangUp(): void {
    if (this.#state !== 'live') return;
    this.#catchUp();
    this.#state = 'hanging-up';
    sharedTicker.remove(this.#ticked);
    this.#socket.send(this.#writer.stop(this.accountSid, this.callSid));
    this.#socket.close(1000);
    this.#closeTimer = setTimeout(() => this.#socket.terminate(), CLOSE_TIMEOUT_MS);
  }

  #nextDueMs(): number {
    const markSample = this.#playback.nextMarkSample ?? Infinity;
    return this.startedAtMs + Math.min((this.#framesDue + 1) * FRAME_MS, markSample / SAMPLES_PER_MS);
  }

  /** Brings mouth and ear up to this moment. */
  #catchUp(): void {
    this.#sendDueFrames();
    this.#playback.advance(this.#positionSample());
  }

  #tick(): void {
    this.#catchUp();
    const lastAudibleMs = this.#meter.lastAudibleMs ?? Infinity;
    if (this.#agentAudible && this.nowMs - lastAudibleMs >= QUIET_MS) {
      this.#agentAudible = false;
      this.#record({ type: 'agent-quiet' }, lastAudibleMs);
    }
    this.#waiters.check();
    if (this.nowMs >= (this.#options.maxCallMs ?? DEFAULT_MAX_CALL_MS)) this.#beginHangUp();
  }

  #positionSample(): number {
    return Math.floor((nowMs() - this.startedAtMs) * SAMPLES_PER_MS);
  }

  /** A frame leaves when its 20 ms have been spoken; after a stall all missing ones follow at once. */
  #sendDueFrames(): void {
    const due = Math.floor((nowMs() - this.startedAtMs) / FRAME_MS);
    while (this.#state === 'live' && this.#framesDue < due) {
      const atSample = this.#framesDue * FRAME_SAMPLES;
      const frame = this.#mouth.takeFrame(atSample);
      this.#framesDue++;
      if (!frame && this.#options.sendSilence === false) continue;
      this.#sendFrame(frame ?? SILENT_FRAME, atSample);
    }
  }

  #sendFrame(frame: Uint8Array, atSample: number): void {
    this.#said.write(atSample, frame);
    if (this.#socket.bufferedAmount > MAX_UNSENT_BYTES) {
      if (!this.#tooSlow) this.#warn(WARNING_TOO_SLOW, 'the server does not read: caller audio is dropped');
      this.#tooSlow = true;
      return;
    }
    this.#tooSlow = false;
    this.#socket.send(this.#writer.media(frame, atSample / SAMPLES_PER_MS));
  }

  #onMessage(text: string | undefined): void {
    if (this.#state !== 'live') return;
    this.#playback.advance(this.#positionSample());
    if (text === undefined) return this.#warn(WARNING_INVALID, 'a binary message');
    const message = parseServerMessage(text, this.streamSid);
    switch (message.event) {
      case 'media':
        this.#record({ type: 'media', bytes: message.audio.length });
        if (!this.#playback.push(message.audio))
          this.#warn(WARNING_OVERFLOW, 'more than ten minutes of audio buffered: refused');
        break;
      case 'mark':
        this.#record({ type: 'mark', name: message.name });
        if (!this.#playback.mark(message.name)) this.#warn(WARNING_OVERFLOW, 'too many pending marks: refused');
        break;
      case 'clear':
        this.#record({ type: 'clear', droppedMs: this.#playback.bufferedSamples / SAMPLES_PER_MS });
        this.#meter.onClear(this.nowMs);
        this.#playback.clear();
        break;
      case 'invalid':
        this.#warn(message.code, message.complaint);
        return;
      default:
        message satisfies never;
    }
    if (message.complaint) this.#warn(WARNING_INVALID, message.complaint);
    sharedTicker.reschedule();
  }

  #onPlayed(atSample: number, mulaw: Uint8Array): void {
    this.#heard.write(atSample, mulaw);
    const first = firstAudible(mulaw);
    if (first < 0) return;
    const firstMs = (atSample + first) / SAMPLES_PER_MS;
    if (!this.#agentAudible) {
      this.#agentAudible = true;
      this.#record({ type: 'agent-audible' }, firstMs);
    }
    this.#meter.onAudible(firstMs, (atSample + lastAudible(mulaw)) / SAMPLES_PER_MS);
  }

  #onMark(name: string, cleared: boolean): void {
    if (this.#options.echoMarks === false) return;
    this.#socket.send(this.#writer.mark(name));
    this.#record({ type: 'mark-echo', name, cleared });
  }

  #onGap(fromMs: number, toMs: number, afterClear: boolean): void {
    const callerSpoke = this.utterances.some((utterance) => utterance.startMs < toMs && utterance.endMs > fromMs);
    if (afterClear || callerSpoke || toMs - fromMs > MAX_UNDERRUN_MS) return;
    this.#underruns++;
    this.#underrunMs += toMs - fromMs;
    this.#record({ type: 'underrun', durationMs: toMs - fromMs }, fromMs);
  }

  #isAnswered(): boolean {
    const utterance = this.utterances.at(-1);
    if (utterance && utterance.endMs === this.#turnEndMs) return utterance.replyMs !== undefined;
    return (this.#meter.lastAudibleMs ?? -Infinity) > this.#turnEndMs;
  }

  #warn(code: number, text: string): void {
    this.#record({ type: 'warning', code, text });
  }

  #record(body: PhoneEventBody, atMs: number = this.nowMs): void {
    const event: PhoneEvent = { ...body, atMs };
    if (this.events.length < MAX_EVENTS) this.events.push(event);
    this.#options.onEvent?.(event);
  }

  #assertLive(what: string): void {
    if (this.#state !== 'live') throw new CallFailed(`cannot ${what}: the call is over`);
  }

  #finish(code: number, reason: string): CallEnd {
    const end: CallEnd = { by: this.#state === 'hanging-up' ? 'phone' : 'server', code, reason };
    const why =
      end.by === 'phone'
        ? 'the phone hung up'
        : `the server closed the socket (code ${code}${reason && `, ${reason}`})`;
    this.#record({ type: 'ended', ...end });
    this.#state = 'ended';
    clearTimeout(this.#closeTimer);
    sharedTicker.remove(this.#ticked);
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#waiters.abort(why);
    this.#mouth.abort(new CallFailed(`${why} while the caller was speaking`));
    return end;
  }
}
