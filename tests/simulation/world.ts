/** One simulated call: the real session, routes and playout between a modelled caller, wire and vendors, on a virtual clock. */
import { VirtualClock } from '../../src/core/clock.ts';
import type { Log } from '../../src/core/log.ts';
import { FRAME_BYTES, FRAME_MS } from '../../src/media/call-port.ts';
import { agentSchema, toAgentConfig } from '../../src/control/agents/schema.ts';
import type { AgentConfig } from '../../src/pipeline/ports.ts';
import type { LlmProvider, SttProvider } from '../../src/pipeline/providers/spec.ts';
import { llmRoute } from '../../src/pipeline/router/llm-route.ts';
import { SpeechCache, cachedSpeech } from '../../src/pipeline/router/speech-cache.ts';
import { candidatesOf } from '../../src/pipeline/router/testing.ts';
import { sttRoute } from '../../src/pipeline/router/stt-route.ts';
import { ttsRoute } from '../../src/pipeline/router/tts-route.ts';
import { CallSession } from '../../src/pipeline/session/session.ts';
import { Caller } from './caller.ts';
import type { Act } from './caller.ts';
import { CallerVoice, numberFrame } from './caller-voice.ts';
import type { Check, CheckContext, ModelRequest, Violation } from './checks/check.ts';
import { EndCheck } from './checks/end-check.ts';
import { FloorCheck } from './checks/floor-check.ts';
import { GuessCheck } from './checks/guess-check.ts';
import { HistoryCheck } from './checks/history-check.ts';
import { ReplyCheck } from './checks/reply-check.ts';
import { WireCheck } from './checks/wire-check.ts';
import { Coverage } from './coverage.ts';
import { FarSide } from './far-side.ts';
import { LlmModel } from './llm-model.ts';
import { OwnedClock } from './owned-clock.ts';
import type { Profile } from './profile.ts';
import { Random, seedOf } from './random.ts';
import { SttModel } from './stt-model.ts';
import { TakeBook } from './takes.ts';
import { TtsModel } from './tts-model.ts';
import { VadModel } from './vad-model.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly profile: Profile;
  readonly acts: readonly Act[];
  /** The caller hangs up then, if the call has not ended before. */
  readonly hangUpAtMs: number;
  /** Takes a line about something that happened; undefined: nobody listens, and lines are not even made. */
  readonly trace: ((line: string) => void) | undefined;
}

export class World {
  readonly clock = new VirtualClock();
  readonly coverage = new Coverage();
  readonly voice = new CallerVoice();
  readonly takes = new TakeBook();
  readonly far: FarSide;
  readonly session: CallSession;
  readonly vad: VadModel;
  readonly stts: SttModel[];
  readonly llms: LlmModel[];
  readonly ttss: TtsModel[];
  violation: Violation | undefined;
  readonly #options: WorldOptions;
  readonly #agent: AgentConfig;
  readonly #owned: OwnedClock;
  readonly #caller: Caller;
  readonly #checks: Check[];
  readonly #end: EndCheck;
  readonly #frame = new Uint8Array(FRAME_BYTES).fill(0xff);
  readonly #network: Random;
  #lastError = '';
  #released = false;
  #nextFrame = 0;
  #stalledUntilMs = 0;
  #requests = 0;
  #unsettled = false;

  constructor(options: WorldOptions) {
    const { seed, profile, acts, trace } = options;
    this.#options = options;
    this.#owned = new OwnedClock(this.clock);
    this.#network = new Random(seedOf(seed, 'uplink'));
    this.#agent = toAgentConfig('simulated', agentSchema.parse(profile.agent));
    const { clock, voice, takes } = this;
    const onFate = (fate: string) => this.#note(fate);
    const words = { next: 0 };
    this.stts = profile.stt.map(
      (stt, index) => new SttModel({ name: `stt${index}`, seed, clock, voice, profile: stt }),
    );
    this.llms = profile.llm.map(
      (llm, index) => new LlmModel({ name: `llm${index}`, seed, clock, profile: llm, words, onFate }),
    );
    this.ttss = profile.tts.map(
      (tts, index) => new TtsModel({ name: `tts${index}`, seed, clock, profile: tts, takes, onFate }),
    );
    this.vad = new VadModel({
      clock,
      voice,
      random: new Random(seedOf(seed, 'vad')),
      lateMs: profile.vadLateMs,
      onEvent: (event) =>
        this.#tell(
          (check) => check.onVoice?.(event),
          () => `vad: ${JSON.stringify(event)}`,
          event.type !== 'speech-continued' && event.type !== 'speech-faded',
        ),
    });
    this.far = this.#farSide();
    this.#caller = new Caller(acts, this.#callerWorld(), (line) => this.#note(line));
    this.session = this.#makeSession();
    const context = this.#checkContext();
    this.#end = new EndCheck(
      context,
      () => this.#leftovers(),
      () => this.#lastError,
    );
    this.#checks = [
      new WireCheck(context),
      new FloorCheck(context),
      new ReplyCheck(context),
      new HistoryCheck(context),
      new GuessCheck(context),
      this.#end,
    ];
    if (trace) this.#note(`agent: ${JSON.stringify(profile.agent)}`);
  }

  get ended(): boolean {
    return this.#end.reason !== undefined;
  }

  start(): void {
    this.session.start();
    this.#settle();
  }

  /** One frame's time passes. */
  tick(): void {
    const endMs = this.clock.nowMs() + FRAME_MS;
    this.clock.advance(FRAME_MS);
    this.#settle();
    this.far.tick(endMs);
    this.#caller.tick(endMs);
    if (!this.ended) this.#uplink(endMs);
    if (endMs >= this.#options.hangUpAtMs && !this.ended) this.#leave('hang-up');
    this.#unsettled = true;
    this.#settle();
  }

  /** After the end, when what was closing has closed. */
  finish(): void {
    for (const check of this.#checks) check.finish?.(this.clock.nowMs());
  }

  fail(invariant: Violation['invariant'], message: string): void {
    this.violation ??= { invariant, message, atMs: Math.round(this.clock.nowMs()) };
    this.#note(`BROKEN (${invariant}): ${message}`);
  }

  /** Delivers the caller's frames that have come through by now. */
  #uplink(nowMs: number): void {
    const { network } = this.#options.profile;
    if (network.stallChance > 0 && this.#network.chance(network.stallChance / 50))
      this.#stalledUntilMs = nowMs + network.stallMs;
    if (nowMs < this.#stalledUntilMs) return;
    const newestMs = nowMs - network.fromFarSideMs;
    while ((this.#nextFrame + 1) * FRAME_MS <= newestMs && !this.ended) {
      numberFrame(this.#frame, this.#nextFrame++);
      this.session.onAudio(this.#frame);
      this.#unsettled = true;
    }
  }

  #leave(how: 'hang-up' | 'vanish' | 'idle' | 'server-stops'): void {
    if (this.ended) return;
    if (how === 'server-stops') return this.session.leave();
    this.far.close();
    this.coverage.count(`left: ${how}`);
    this.session.onEnd(how === 'hang-up' ? 'stop' : how === 'vanish' ? 'socket-closed' : 'idle');
  }

  #callerWorld() {
    return {
      voice: this.voice,
      agentAudible: () => this.far.isAudibleAt(this.clock.nowMs()),
      press: (digit: string) => this.session.onDtmf(digit),
      leave: (how: 'hang-up' | 'vanish' | 'idle' | 'server-stops') => this.#leave(how),
    };
  }

  #farSide(): FarSide {
    const { seed, profile } = this.#options;
    return new FarSide({
      clock: this.clock,
      random: new Random(seedOf(seed, 'far side')),
      profile,
      takes: this.takes,
      echoMark: (name) => this.session.onMark(name),
      ended: () => this.session.onEnd('local'),
      listener: {
        onRun: (run, speech, kind) =>
          this.#tell(
            (check) => check.onRun?.(run, speech, kind),
            () => `wire: take ${run.take} from ${Math.round(run.from / 8)} ms`,
            kind !== 'continues',
          ),
        onMark: () => {},
        onClear: () =>
          this.#tell(
            (check) => check.onClear?.(),
            () => 'wire: clear',
          ),
        onHangUp: () =>
          this.#tell(
            (check) => check.onHangUp?.(),
            () => 'wire: hang-up',
          ),
      },
    });
  }

  #makeSession(): CallSession {
    const voices = new SpeechCache();
    // Health outlives a call, and so do its timers. The routes of a simulated call have no weights to draw by.
    const random = () => 0;
    return new CallSession(this.far.port, this.#agent, {
      clock: this.#owned,
      log: this.#log(),
      vad: this.vad,
      stt: this.#tapStt(sttRoute(candidatesOf('stt', this.clock, this.stts), random)),
      llm: this.#tapLlm(llmRoute(candidatesOf('llm', this.clock, this.llms), random)),
      tts: ttsRoute(
        candidatesOf(
          'tts',
          this.clock,
          this.ttss.map((provider) => cachedSpeech(provider, voices)),
        ),
        random,
      ),
      onEvent: (event) => {
        this.coverage.event(event);
        this.#tell(
          (check) => check.onEvent?.(event),
          () => `event: ${JSON.stringify(event)}`,
        );
      },
      onReleased: () => (this.#released = true),
    });
  }

  #tapStt(route: SttProvider): SttProvider {
    return {
      name: route.name,
      open: (request, sink, context) =>
        route.open(
          request,
          (part) => {
            this.#tell(
              (check) => check.onTranscript?.(part),
              () => `stt: ${JSON.stringify({ ...part, words: undefined })}`,
            );
            sink(part);
          },
          context,
        ),
    };
  }

  #tapLlm(route: LlmProvider): LlmProvider {
    return {
      name: route.name,
      generate: (request, sink, context) => {
        const number = ++this.#requests;
        const record: ModelRequest = { number, startedAtMs: this.clock.nowMs(), request, open: true };
        const messages = () => request.messages.slice(1).map(({ role, content }) => `${role}: ${content}`);
        this.#tell(
          (check) => check.onModelRequest?.(record),
          () => `request ${number}: ${messages().join(' | ')}`,
        );
        const stream = route.generate(
          request,
          (part) => {
            if (part.type === 'generation-finished' || part.type === 'generation-failed') record.open = false;
            this.#unsettled = true;
            sink(part);
          },
          context,
        );
        return {
          abort: () => {
            record.open = false;
            stream.abort();
          },
        };
      },
    };
  }

  #log(): Log {
    const warn: Log['warn'] = (fields, message) => {
      if (message === 'provider failed') this.coverage.count(`failover: ${String(fields['stage'])}`);
      this.#note(`log: ${message} ${JSON.stringify(fields)}`);
    };
    const log: Log = {
      debug: () => {},
      info: () => {},
      warn,
      error: (fields, message) => {
        const { err } = fields;
        this.#lastError = `${message}: ${err instanceof Error ? (err.stack ?? err.message) : String(fields['reason'])}`;
        this.#note(`log: ${this.#lastError}`);
      },
      child: () => log,
    };
    return log;
  }

  #checkContext(): CheckContext {
    return {
      agent: this.#agent,
      profile: this.#options.profile,
      takes: this.takes,
      voice: this.voice,
      far: this.far,
      nowMs: () => this.clock.nowMs(),
      fail: (invariant, message) => this.fail(invariant, message),
    };
  }

  #leftovers() {
    const open = (models: readonly { openStreams: number }[]) =>
      models.reduce((sum, { openStreams }) => sum + openStreams, 0);
    return {
      timers: this.#owned.pendingTimers,
      released: this.#released,
      streams: { stt: open(this.stts), llm: open(this.llms), tts: open(this.ttss), vad: this.vad.openDetectors },
    };
  }

  #tell(tell: (check: Check) => void, line: () => string, traced = true): void {
    this.#unsettled = true;
    if (traced) this.#options.trace?.(`${Math.round(this.clock.nowMs())} ${line()}`);
    for (const check of this.#checks ?? []) tell(check);
  }

  #note(line: string): void {
    this.#options.trace?.(`${Math.round(this.clock.nowMs())} ${line}`);
  }

  #settle(): void {
    if (!this.#unsettled) return;
    this.#unsettled = false;
    const nowMs = this.clock.nowMs();
    for (const check of this.#checks) check.settle?.(nowMs);
  }
}
