/** Deepgram's v2 live API (Flux) on loopback: decides by silence when a turn is over, and how likely it is. */
import type { DeepgramEmulatorSettings } from './deepgram.ts';
import { isRecord, parseRecord } from './json.ts';
import type { JsonRecord } from './json.ts';
import { ScriptReader } from './script.ts';
import type { Stretch, Word } from './script.ts';
import { SpeechDetector } from './speech-detector.ts';
import type { DetectorFrame } from './speech-detector.ts';
import type { VendorSocket } from './server.ts';

const UPDATE_EVERY_MS = 250;
/** Silence that makes a pause: shorter ones are within words. */
const PAUSE_MS = 60;
/** Silence after which sounds without words are forgotten. */
const FORGET_MS = 500;
/** Of the end of a turn, after {@link DeepgramEmulatorSettings.fluxEndOfTurnMs} of silence; it grows in proportion. */
const USUAL_CONFIDENCE = 0.7;

/** Why an address is refused, if it is. */
export function refusedFlux(query: URLSearchParams): string | undefined {
  if (!query.get('model')?.startsWith('flux-')) return 'Only Flux models are served here.';
  const eot = Number(query.get('eot_threshold') ?? 0.7);
  const eager = Number(query.get('eager_eot_threshold') ?? eot);
  const timeoutMs = Number(query.get('eot_timeout_ms') ?? 5000);
  if (!(eot >= 0.5 && eot <= 1)) return 'eot_threshold must be from 0.5 to 1.0.';
  if (query.has('eager_eot_threshold') && !(eager >= 0.3 && eager <= 0.9)) {
    return 'eager_eot_threshold must be from 0.3 to 0.9.';
  }
  if (eager > eot) return 'eager_eot_threshold must not be above eot_threshold.';
  return timeoutMs >= 500 && timeoutMs <= 60_000 ? undefined : 'eot_timeout_ms must be from 500 to 60000.';
}

interface Thresholds {
  readonly eot: number;
  readonly eager: number;
  readonly timeoutMs: number;
}

/** Those that are given in place of those before. */
function changed({ eot, eager, timeoutMs }: Thresholds, given: JsonRecord): Thresholds {
  return {
    eot: Number(given['eot_threshold'] ?? eot),
    eager: Number(given['eager_eot_threshold'] ?? eager),
    timeoutMs: Number(given['eot_timeout_ms'] ?? timeoutMs),
  };
}

interface Turn {
  readonly stretch: Stretch;
  /** StartOfTurn has been sent: there were words. */
  started: boolean;
  /** EagerEndOfTurn has been sent for this silence. */
  eager: boolean;
  nextUpdateMs: number;
}

export class FluxLiveStream {
  readonly #settings: DeepgramEmulatorSettings;
  readonly #socket: VendorSocket;
  readonly #detector: SpeechDetector;
  readonly #script: ScriptReader;
  #thresholds: Thresholds;
  #cancelTimeout = (): void => {};
  #sequenceId = 0;
  /** Drawn anew for each turn. */
  #usualEndMs = 0;
  #turnIndex = 0;
  #turn: Turn | undefined;
  #turnBeganMs = 0;
  #audioMs = 0;

  constructor(settings: DeepgramEmulatorSettings, socket: VendorSocket, url: URL) {
    this.#settings = settings;
    this.#socket = socket;
    this.#detector = new SpeechDetector(settings.speechThreshold);
    this.#script = new ScriptReader(() => settings.transcripts, url.pathname + url.search);
    const query = url.searchParams;
    this.#thresholds = changed({ eot: 0.7, eager: Infinity, timeoutMs: 5000 }, Object.fromEntries(query));
    socket.onText = (text) => this.#onText(text);
    socket.onBinary = (bytes) => this.#onAudio(bytes);
    socket.after(0, () => this.#say({ type: 'Connected', request_id: 'emulated' }));
    this.#expectAudio();
  }

  #expectAudio(): void {
    this.#cancelTimeout();
    this.#cancelTimeout = this.#socket.after(this.#settings.keepAliveTimeoutMs, () => {
      this.#socket.close(1011, 'Deepgram did not receive audio data within the timeout window.');
    });
  }

  #say(message: object): void {
    this.#socket.send({ ...message, sequence_id: this.#sequenceId++ });
  }

  #onText(text: string): void {
    const message = parseRecord(text);
    const type = message?.['type'];
    if (type === 'CloseStream') return this.#socket.close(1000);
    if (type === 'Configure') return this.#configure(message?.['thresholds']);
    // As KeepAlive and Finalize, which only the older API knows.
    const description = 'The message is not one of CloseStream, Configure.';
    this.#say({ type: 'Error', code: 'UNPARSABLE_CLIENT_MESSAGE', description });
    this.#socket.close(1008, 'UNPARSABLE_CLIENT_MESSAGE');
  }

  #configure(given: unknown): void {
    this.#thresholds = changed(this.#thresholds, isRecord(given) ? given : {});
    this.#say({ type: 'ConfigureSuccess' });
  }

  #onAudio(bytes: Uint8Array): void {
    this.#expectAudio();
    for (const frame of this.#detector.push(bytes, () => this.#turn !== undefined)) this.#onFrame(frame);
  }

  #onFrame(frame: DetectorFrame): void {
    this.#audioMs = frame.audioMs;
    if (frame.onsetMs !== undefined) this.#begin(frame.onsetMs);
    const turn = this.#turn;
    if (turn === undefined) return;
    if (frame.voiced) {
      turn.stretch.lastVoicedMs = frame.audioMs;
      if (turn.eager) this.#tell('TurnResumed', turn);
      turn.eager = false;
    }
    const quietMs = frame.audioMs - turn.stretch.lastVoicedMs;
    if (!turn.started && this.#wordsOf(turn).length > 0) {
      turn.started = true;
      this.#tell('StartOfTurn', turn);
    }
    if (turn.started) this.#decide(turn, quietMs);
    else if (quietMs >= FORGET_MS) this.#end(turn);
  }

  #begin(onsetMs: number): void {
    this.#usualEndMs = this.#socket.delays.drawMs(this.#settings.fluxEndOfTurnMs);
    const stretch = this.#script.begin(onsetMs);
    stretch.lastVoicedMs = this.#audioMs;
    this.#turn = { stretch, started: false, eager: false, nextUpdateMs: onsetMs + UPDATE_EVERY_MS };
  }

  #end(turn: Turn): void {
    this.#script.end(turn.stretch);
    this.#turn = undefined;
  }

  #decide(turn: Turn, quietMs: number): void {
    const { eot, eager, timeoutMs } = this.#thresholds;
    const sure = this.#confidence(quietMs);
    if (sure >= eot || quietMs >= timeoutMs) {
      this.#tell('EndOfTurn', turn, quietMs);
      this.#end(turn);
      this.#turnIndex++;
      this.#turnBeganMs = this.#audioMs;
    } else if (sure >= eager && !turn.eager) {
      turn.eager = true;
      this.#tell('EagerEndOfTurn', turn, quietMs);
    } else if (this.#audioMs >= turn.nextUpdateMs) {
      turn.nextUpdateMs = this.#audioMs + UPDATE_EVERY_MS;
      this.#tell('Update', turn, quietMs);
    }
  }

  #confidence(quietMs: number): number {
    return Math.min(0.99, (quietMs / this.#usualEndMs) * USUAL_CONFIDENCE);
  }

  #wordsOf({ stretch }: Turn): Word[] {
    return stretch.interimWords(this.#audioMs, this.#audioMs - stretch.lastVoicedMs >= PAUSE_MS);
  }

  #tell(event: string, turn: Turn, quietMs = 0): void {
    const words = this.#wordsOf(turn);
    this.#say({
      type: 'TurnInfo',
      request_id: 'emulated',
      event,
      turn_index: this.#turnIndex,
      audio_window_start: this.#turnBeganMs / 1000,
      audio_window_end: this.#audioMs / 1000,
      transcript: words.map((word) => word.punctuated_word).join(' '),
      words: words.map(({ punctuated_word: word, confidence, start, end }) => ({ word, confidence, start, end })),
      end_of_turn_confidence: this.#confidence(quietMs),
      trigger: 'model',
    });
  }
}
