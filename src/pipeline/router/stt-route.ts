/** A route of recognisers that looks like one. */
import { BvraiError, unreachable } from '../../core/errors.ts';
import { RingBuffer } from '../../core/ring-buffer.ts';
import { BYTES_PER_MS } from '../../media/call-port.ts';
import type { RouteEntry } from '../ports.ts';
import type {
  Sink,
  SttPart,
  SttProvider,
  SttRequest,
  SttStream,
  StreamContext,
  TranscribedWord,
} from '../providers/spec.ts';
import type { Attempt } from './health.ts';
import type { Candidate } from './route.ts';
import { Watchdog, deadlineError, inOrder, prewarmFirst } from './route.ts';
import { withoutRepeated } from './repeated-words.ts';

/**
 * A recogniser may rightly say nothing about a cough. Only of speech at least this long, by the local detector, does silence
 * mean that the recogniser is dead.
 */
const SURELY_SPEECH_MS = 600;
/** Where the recogniser has heard the sound, too, and has no words for it, it may be a long cough. One of this length is none. */
const SURELY_WORDS_MS = 1_500;
/** After a pause of this length a sound is another one, and its length counts from its own beginning. */
const SAME_SOUND_PAUSE_MS = 1_000;
/** Audio kept for a successor: what the caller said around a failure is not lost. */
const REPLAY_MS = 3_000;
/** A transcript without word times may leave out what was said just before it came. */
const TRANSCRIPT_LAG_MS = 300;
/** How long the route rests when everyone has failed, and how often it then begins anew before it gives up. */
const REST_MS = 500;
const MAX_ROUNDS = 3;

/**
 * One recogniser serves the call until it fails, stays silent about clear speech, or owes the final of a guess. One that had served and lost its connection is connected to again,
 * once; then the next one serves, beginning with what of the last seconds of the caller's audio had not been told. When everyone
 * has failed the route begins anew after a rest; `stream-failed` means that this did not help either. The last resort is waited for
 * where nobody else is left (0092).
 */
export function sttRoute(candidates: readonly Candidate<SttProvider>[], random: () => number): SttProvider {
  return {
    name: candidates.map(({ provider }) => provider.name).join(', '),
    open: (request, sink, context) => new RoutedRecognition(candidates, random, request, sink, context),
    prewarm: (request, wanted) => prewarmFirst(candidates, (entry) => requestOf(request, entry), wanted),
  };
}

function requestOf(request: SttRequest, { model, options }: RouteEntry): SttRequest {
  return { ...request, model, options };
}

/** A candidate with a stream of its own. */
interface Lane {
  readonly candidate: Candidate<SttProvider>;
  /** Position in the caller's audio at which its stream begins. */
  fromByte: number;
  stream: SttStream | undefined;
  /** It has said something. */
  served: boolean;
  readonly isReconnected: boolean;
}

class RoutedRecognition implements SttStream {
  readonly #candidates: readonly Candidate<SttProvider>[];
  readonly #random: () => number;
  readonly #request: SttRequest;
  readonly #sink: Sink<SttPart>;
  readonly #context: StreamContext;
  readonly #watchdog: Watchdog;
  readonly #rest: Watchdog;
  readonly #replay = new RingBuffer(REPLAY_MS * BYTES_PER_MS);
  #remaining: Candidate<SttProvider>[];
  #rounds = 0;
  #lane: Lane | undefined;
  /** Of the caller's speech that waits for its transcript. */
  #attempt: Attempt | undefined;
  /** The last hint, as long as no final has covered what it is about: a successor must be given it, and the audio, too. */
  #owed: 'speech-started' | 'speech-ended' | undefined;
  /** What the recogniser has told of that: guesses at words promise a final, a sound of which nothing comes may be a cough. */
  #toldOfOwed: 'nothing' | 'sound' | 'words' = 'nothing';
  #speechStartedAtMs = 0;
  #speechEndedAtMs = Number.NEGATIVE_INFINITY;
  /** When the sound began that was taken for a cough since the recogniser last had words for one: there is one such at most. */
  #excusedAtMs: number | undefined;
  /** Position in the caller's audio of the last end of speech, and up to where words have been told. */
  #speechEndedByte = 0;
  #answeredByte = 0;
  /** The last words told; `exact`: their place in the audio is known. */
  #lastTold: { readonly text: string; readonly exact: boolean } = { text: '', exact: true };
  /** What a successor may hear again, until it has told something itself. */
  #mayRepeat = '';
  #closed = false;

  constructor(
    candidates: readonly Candidate<SttProvider>[],
    random: () => number,
    request: SttRequest,
    sink: Sink<SttPart>,
    context: StreamContext,
  ) {
    this.#candidates = candidates;
    this.#random = random;
    this.#request = request;
    this.#sink = sink;
    this.#context = context;
    this.#watchdog = new Watchdog(context.clock);
    this.#rest = new Watchdog(context.clock);
    this.#remaining = inOrder(candidates, random);
    this.#openNext(new BvraiError('provider.unavailable', 'the route has no recogniser'));
  }

  write(audio: Uint8Array): void {
    if (this.#closed) return;
    this.#replay.write(audio);
    this.#lane?.stream?.write(audio);
  }

  hint(voice: 'speech-started' | 'speech-ended', agoMs?: number): void {
    if (this.#closed) return;
    const nowMs = this.#context.clock.nowMs();
    if (voice === 'speech-started') this.#onSpeechStarted(nowMs);
    else {
      this.#speechEndedAtMs = nowMs;
      this.#speechEndedByte = this.#replay.writtenBytes;
    }
    if (voice === 'speech-started' || this.#owed) this.#owed = voice;
    this.#lane?.stream?.hint(voice, agoMs);
    const isSpeech = this.#toldOfOwed === 'words' || nowMs - this.#speechStartedAtMs >= SURELY_SPEECH_MS;
    if (isSpeech) this.#expectTranscript(voice);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#attempt?.abandon();
    this.#watchdog.stop();
    this.#rest.stop();
    this.#lane?.stream?.close();
  }

  /** Speech after a short pause that nothing was said of is part of what is owed already. */
  #onSpeechStarted(nowMs: number): void {
    if (this.#owed && nowMs - this.#speechEndedAtMs <= SAME_SOUND_PAUSE_MS) return;
    this.#speechStartedAtMs = nowMs;
    // Words promise a final also while the caller goes on.
    if (!this.#owed || this.#toldOfOwed === 'sound') this.#toldOfOwed = 'nothing';
    this.#forgetAttempt();
  }

  /** The caller goes on: how long the transcript would have taken cannot be known. */
  #forgetAttempt(): void {
    this.#attempt?.abandon();
    this.#attempt = undefined;
  }

  /** From the end of clear speech on, the time until its transcript is the recogniser's. */
  #expectTranscript(voice: 'speech-started' | 'speech-ended'): void {
    if (voice === 'speech-started') this.#forgetAttempt();
    else this.#attempt ??= this.#lane?.candidate.health.begin();
    if (!this.#watchdog.running) this.#watch();
  }

  #watch(): void {
    this.#watchdog.stop();
    const lane = this.#lane;
    if (this.#owed !== 'speech-ended' || this.#isExcused() || !lane || this.#isLastHope(lane)) return;
    const limitMs = lane.candidate.health.firstDeadlineMs;
    this.#watchdog.restart(limitMs, () =>
      this.#onFailure(lane, deadlineError('first', lane.candidate.provider.name, limitMs)),
    );
  }

  /**
   * The last resort works on this machine: when it is late the machine is overloaded, and begun anew it would be later still. One
   * that hangs says so itself.
   */
  #isLastHope({ candidate }: Lane): boolean {
    if (candidate.isLastResort !== true) return false;
    const hasOther = this.#candidates.some((other) => other !== candidate && other.health.available);
    // After a round in vain the others are known to be no better.
    return !hasOther || this.#rounds > 0;
  }

  /** The recogniser has heard the sound, too, and need not have words for it; once: where only its voice detector is well it never has any. */
  #isExcused(): boolean {
    const startedAtMs = this.#speechStartedAtMs;
    if (this.#toldOfOwed !== 'sound' || this.#speechEndedAtMs - startedAtMs >= SURELY_WORDS_MS) return false;
    this.#excusedAtMs ??= startedAtMs;
    return this.#excusedAtMs === startedAtMs;
  }

  #openNext(reason: BvraiError): void {
    const candidate = this.#remaining.shift();
    if (candidate) return this.#open(candidate, reason, false);
    if (++this.#rounds >= MAX_ROUNDS) {
      this.close();
      return this.#sink({ type: 'stream-failed', error: reason });
    }
    this.#rest.restart(REST_MS, () => {
      this.#remaining = inOrder(this.#candidates, this.#random);
      this.#openNext(reason);
    });
  }

  #open(candidate: Candidate<SttProvider>, reason: BvraiError, isReconnected: boolean): void {
    const { provider, entry, health } = candidate;
    const previous = this.#lane?.candidate.provider.name;
    const lane: Lane = {
      candidate,
      fromByte: this.#replay.writtenBytes,
      stream: undefined,
      served: false,
      isReconnected,
    };
    this.#lane = lane;
    this.#excusedAtMs = undefined;
    const context = { ...this.#context, connecting: health.connecting };
    lane.stream = provider.open(requestOf(this.#request, entry), (part) => this.#onPart(lane, part), context);
    if (previous !== undefined && previous !== provider.name) {
      this.#context.onSwitch?.({ stage: 'stt', from: previous, to: provider.name, code: reason.code });
    }
    if (this.#owed) this.#repeatTurn(lane, this.#owed);
  }

  #repeatTurn(lane: Lane, owed: 'speech-started' | 'speech-ended'): void {
    const { stream } = lane;
    this.#toldOfOwed = 'nothing';
    stream?.hint('speech-started');
    const audio = this.#replay.newest(this.#replay.writtenBytes - this.#answeredByte);
    lane.fromByte = this.#replay.writtenBytes - audio.length;
    stream?.write(audio);
    if (owed === 'speech-ended') {
      stream?.hint('speech-ended');
      this.#attempt ??= lane.candidate.health.begin();
    }
    this.#watch();
  }

  #onPart(lane: Lane, part: SttPart): void {
    if (this.#closed || lane !== this.#lane) return;
    if (part.type === 'stream-failed') return this.#onFailure(lane, part.error);
    if (part.type === 'stream-opened') {
      return this.#sink({ ...part, audioAgeMs: (this.#replay.writtenBytes - lane.fromByte) / BYTES_PER_MS });
    }
    lane.served = true;
    this.#rounds = 0;
    this.#noteProgress(lane, part);
    if (part.type === 'transcript-interim') return this.#sink({ ...part, text: this.#onlyNew(part.text) });
    if (part.type === 'transcript-final') return this.#onFinal(lane, part);
    if (part.type === 'turn-ended') {
      this.#answered();
      this.#markAnswered(lane, part.text, part.words ?? []);
    }
    return this.#sink(part);
  }

  /**
   * Only a final settles what is owed: a recogniser that stops, or only drips, after a guess would leave out the words that the
   * guess has not.
   */
  #noteProgress(lane: Lane, part: Exclude<SttPart, { type: 'stream-failed' | 'stream-opened' }>): void {
    switch (part.type) {
      case 'transcript-final':
      case 'turn-ended':
      case 'utterance-ended':
        this.#owed = undefined;
        this.#toldOfOwed = 'nothing';
        this.#excusedAtMs = undefined;
        return this.#watchdog.stop();
      case 'transcript-interim':
      case 'turn-end-likely':
        if (part.text === '') return;
        this.#toldOfOwed = 'words';
        this.#excusedAtMs = undefined;
        // The vendor may hear speech before the local detector does.
        this.#owed ??= 'speech-started';
        // One that decides itself may rightly wait on; meanwhile it goes on telling.
        if (!this.#watchdog.running || this.#decidesTurns(lane)) this.#watch();
        return;
      case 'speech-started':
      case 'turn-resumed':
        if (this.#toldOfOwed !== 'nothing') return;
        this.#toldOfOwed = 'sound';
        if (this.#owed !== 'speech-ended' || this.#isExcused()) this.#watchdog.stop();
        return;
      default:
        return unreachable(part);
    }
  }

  #decidesTurns({ candidate: { provider, entry } }: Lane): boolean {
    return provider.capabilities?.decidesTurns?.(entry.model) === true;
  }

  #onFinal(lane: Lane, part: Extract<SttPart, { type: 'transcript-final' }>): void {
    if (part.speechFinal || part.fromFinalize) this.#answered();
    const text = this.#onlyNew(part.text);
    if (part.text !== '') this.#markAnswered(lane, part.text, part.words);
    this.#sink({ ...part, text });
  }

  /** The transcript of what the caller said is there. */
  #answered(): void {
    this.#attempt?.first();
    this.#attempt?.succeed();
    this.#attempt = undefined;
  }

  /** What a successor hears again of its predecessor's last words is not told twice. */
  #onlyNew(text: string): string {
    return this.#mayRepeat === '' ? text : withoutRepeated(text, this.#mayRepeat);
  }

  /** What has been told is not to be recognised again by a successor: its audio ends with its last word. */
  #markAnswered(lane: Lane, text: string, words: readonly TranscribedWord[]): void {
    const { writtenBytes } = this.#replay;
    const endMs = words.at(-1)?.endMs;
    const saidByNow = writtenBytes - TRANSCRIPT_LAG_MS * BYTES_PER_MS;
    const byte =
      endMs === undefined
        ? Math.max(saidByNow, Math.min(this.#speechEndedByte, writtenBytes))
        : lane.fromByte + Math.ceil(endMs * BYTES_PER_MS);
    this.#answeredByte = Math.max(this.#answeredByte, Math.min(byte, writtenBytes));
    this.#mayRepeat = '';
    this.#lastTold = { text, exact: endMs !== undefined };
  }

  #onFailure(lane: Lane, error: BvraiError): void {
    if (this.#closed || lane !== this.#lane) return;
    const { provider, health } = lane.candidate;
    const facts = { stage: 'stt', provider: provider.name, code: error.code, reason: error.message };
    this.#context.log.warn(facts, 'provider failed');
    (this.#attempt ?? health.begin()).fail(error);
    this.#attempt = undefined;
    this.#watchdog.stop();
    lane.stream?.close();
    lane.stream = undefined;
    this.#mayRepeat = this.#lastTold.exact ? '' : this.#lastTold.text;
    // One that was waited for in vain is not waited for again: the audio that is kept would not last for a third.
    const isSilent = error.code === 'provider.timeout-first';
    const worthAnother = lane.served && !lane.isReconnected && !isSilent && error.retryable && health.available;
    if (worthAnother) this.#open(lane.candidate, error, true);
    else this.#openNext(error);
  }
}
