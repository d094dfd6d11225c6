/** OpenAI's realtime transcription on loopback: hears when somebody speaks, and says that they said what the script says. */
import { delaySchema } from './delays.ts';
import type { Delay } from './delays.ts';
import { isRecord, parseRecord } from './json.ts';
import type { JsonRecord } from './json.ts';
import { ScriptReader, USUAL_TRANSCRIPTS } from './script.ts';
import type { Script, Stretch, Word } from './script.ts';
import { SpeechDetector } from './speech-detector.ts';
import type { DetectorFrame } from './speech-detector.ts';
import type { VendorSocket } from './server.ts';

export interface RealtimeSettings {
  /** What the stretches of speech of a connection say. */
  transcripts: Script;
  /** From a commit to its transcript. */
  transcriptDelayMs: Delay;
  /** How far the live models' deltas lie behind the speech. */
  liveDelayMs: Delay;
  /** Root mean square of 16-bit samples that counts as speech. */
  speechThreshold: number;
}

export const REALTIME_DEFAULTS: RealtimeSettings = {
  transcripts: USUAL_TRANSCRIPTS,
  transcriptDelayMs: 250,
  liveDelayMs: 150,
  speechThreshold: 500,
};

export const REALTIME_KNOBS = {
  transcriptDelayMs: delaySchema.exactOptional(),
  liveDelayMs: delaySchema.exactOptional(),
};

/** These transcribe as audio comes, and detect no turns; the others begin at the commit. */
const LIVE_MODELS: ReadonlySet<string> = new Set(['gpt-live-transcribe', 'gpt-realtime-whisper']);
const MODELS: ReadonlySet<string> = new Set([
  ...LIVE_MODELS,
  'gpt-transcribe',
  'gpt-4o-transcribe',
  'gpt-4o-mini-transcribe',
  'whisper-1',
]);
const LEAST_COMMIT_MS = 100;

interface Session {
  readonly model: string;
  readonly logprobs: boolean;
  /** Undefined: the client commits. */
  readonly silenceMs: number | undefined;
}

/** Audio that has not been committed. */
interface Uncommitted {
  readonly itemId: string;
  audioMs: number;
  stretch: Stretch | undefined;
  wordsTold: number;
}

export class RealtimeTranscription {
  readonly #settings: RealtimeSettings;
  readonly #socket: VendorSocket;
  readonly #script: ScriptReader;
  readonly #detector: SpeechDetector;
  #session: Session | undefined;
  #items = 0;
  #events = 0;
  #lastItemId: string | null = null;
  #buffer = this.#newBuffer();

  constructor(settings: RealtimeSettings, socket: VendorSocket, url: URL) {
    this.#settings = settings;
    this.#socket = socket;
    this.#script = new ScriptReader(() => settings.transcripts, url.pathname + url.search);
    this.#detector = new SpeechDetector(settings.speechThreshold);
    socket.onText = (text) => this.#onText(text);
    socket.after(0, () => this.#say({ type: 'session.created', session: { type: 'transcription' } }));
  }

  #say(event: object, delayMs = 0): void {
    this.#socket.sendLater(delayMs, { event_id: `event_${++this.#events}`, ...event });
  }

  #refuse(code: string, message: string, param: string | null = null): void {
    this.#say({ type: 'error', error: { type: 'invalid_request_error', code, message, param, event_id: null } });
  }

  #newBuffer(): Uncommitted {
    return { itemId: `item_${++this.#items}`, audioMs: 0, stretch: undefined, wordsTold: 0 };
  }

  #onText(text: string): void {
    const event = parseRecord(text);
    switch (event?.['type']) {
      case 'session.update':
        return this.#update(event['session']);
      case 'input_audio_buffer.append':
        return this.#append(event);
      case 'input_audio_buffer.commit':
        return this.#commitByClient();
      case 'input_audio_buffer.clear':
        this.#buffer = this.#newBuffer();
        return this.#say({ type: 'input_audio_buffer.cleared' });
      default:
        return this.#refuse('invalid_value', `Invalid value: '${String(event?.['type'])}'.`, 'type');
    }
  }

  #update(value: unknown): void {
    const session = isRecord(value) ? value : {};
    const input = at(session, 'audio', 'input');
    const model = at(input, 'transcription')['model'];
    const detection = input['turn_detection'];
    if (session['type'] !== 'transcription')
      return this.#refuse('invalid_value', 'Not a transcription.', 'session.type');
    if (typeof model !== 'string' || !MODELS.has(model)) {
      return this.#refuse(
        'invalid_value',
        `Invalid value: '${String(model)}'.`,
        'session.audio.input.transcription.model',
      );
    }
    if (at(input, 'format')['type'] !== 'audio/pcmu') {
      return this.#refuse('invalid_value', 'The emulator takes audio/pcmu only.', 'session.audio.input.format');
    }
    if (LIVE_MODELS.has(model) && isRecord(detection)) {
      return this.#refuse('invalid_value', `${model} detects no turns.`, 'session.audio.input.turn_detection');
    }
    const include = session['include'];
    const logprobs = Array.isArray(include) && include.includes('item.input_audio_transcription.logprobs');
    const silenceMs = isRecord(detection) ? Number(detection['silence_duration_ms'] ?? 500) : undefined;
    this.#session = { model, logprobs, silenceMs };
    this.#say({ type: 'session.updated', session });
  }

  #append(event: JsonRecord): void {
    const audio = event['audio'];
    if (typeof audio !== 'string') return this.#refuse('missing_required_parameter', 'No audio.', 'audio');
    if (this.#session === undefined) return;
    const bytes = Buffer.from(audio, 'base64');
    this.#buffer.audioMs += bytes.length / 8;
    for (const frame of this.#detector.push(bytes, () => this.#buffer.stretch !== undefined)) this.#onFrame(frame);
  }

  #onFrame(frame: DetectorFrame): void {
    const buffer = this.#buffer;
    const { model = '', silenceMs } = this.#session ?? {};
    if (frame.onsetMs !== undefined) {
      buffer.stretch = this.#script.begin(frame.onsetMs);
      buffer.stretch.lastVoicedMs = frame.audioMs;
      if (silenceMs !== undefined) {
        this.#say({ type: 'input_audio_buffer.speech_started', audio_start_ms: frame.onsetMs, item_id: buffer.itemId });
      }
    }
    const { stretch } = buffer;
    if (stretch === undefined) return;
    if (frame.voiced) stretch.lastVoicedMs = frame.audioMs;
    if (LIVE_MODELS.has(model)) {
      this.#sayDeltas(buffer, stretch.interimWords(frame.audioMs, false), this.#settings.liveDelayMs);
    }
    if (silenceMs === undefined || frame.audioMs - stretch.lastVoicedMs < silenceMs) return;
    this.#say({ type: 'input_audio_buffer.speech_stopped', audio_end_ms: frame.audioMs, item_id: buffer.itemId });
    this.#commit();
  }

  #commitByClient(): void {
    if (this.#buffer.audioMs >= LEAST_COMMIT_MS) return this.#commit();
    this.#refuse(
      'input_audio_buffer_commit_empty',
      `Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has ${this.#buffer.audioMs.toFixed(2)}ms of audio.`,
    );
  }

  #commit(): void {
    const buffer = this.#buffer;
    this.#buffer = this.#newBuffer();
    const { itemId, stretch } = buffer;
    this.#say({ type: 'input_audio_buffer.committed', item_id: itemId, previous_item_id: this.#lastItemId });
    this.#lastItemId = itemId;
    const words = stretch?.finalWords() ?? [];
    if (stretch !== undefined) this.#script.end(stretch);
    this.#sayDeltas(buffer, words, this.#settings.transcriptDelayMs);
    this.#say({
      type: 'conversation.item.input_audio_transcription.completed',
      item_id: itemId,
      content_index: 0,
      transcript: words.map((word) => word.punctuated_word).join(' '),
      ...(this.#session?.logprobs === true ? { logprobs: words.map(logprobOf) } : {}),
      usage: { type: 'duration', seconds: Math.ceil(buffer.audioMs / 1000) },
    });
  }

  /** Those words that have not been told. */
  #sayDeltas(buffer: Uncommitted, words: readonly Word[], delay: Delay): void {
    const delayMs = this.#socket.delays.drawMs(delay);
    for (const [index, word] of words.entries()) {
      if (index < buffer.wordsTold) continue;
      buffer.wordsTold = index + 1;
      const delta = index === 0 ? word.punctuated_word : ` ${word.punctuated_word}`;
      const type = 'conversation.item.input_audio_transcription.delta';
      this.#say({ type, item_id: buffer.itemId, content_index: 0, delta }, delayMs);
    }
  }
}

function logprobOf({ punctuated_word: token, confidence }: Word): unknown {
  return { token, logprob: Math.log(confidence), bytes: [...Buffer.from(token)] };
}

/** The object found by following the names; an empty one where there is none. */
function at(value: JsonRecord, ...names: readonly string[]): JsonRecord {
  let found = value;
  for (const name of names) {
    const next = found[name];
    found = isRecord(next) ? next : {};
  }
  return found;
}
