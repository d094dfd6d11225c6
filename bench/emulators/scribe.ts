/** ElevenLabs' realtime speech-to-text on loopback: hears when somebody speaks, and says that they said what the script says. */
import { delaySchema } from './delays.ts';
import type { Delay } from './delays.ts';
import { parseRecord } from './json.ts';
import { ScriptReader, USUAL_TRANSCRIPTS } from './script.ts';
import type { Script, Stretch, Word } from './script.ts';
import { SpeechDetector } from './speech-detector.ts';
import type { DetectorFrame } from './speech-detector.ts';
import type { VendorSocket } from './server.ts';

export interface ScribeSettings {
  /** What the stretches of speech of a connection say. */
  transcripts: Script;
  /** From a commit to its transcript. */
  commitDelayMs: Delay;
  /** Speech between two partials, and how long each takes to come out. Besides, every pause brings one with all that was said. */
  partialEveryMs: number;
  partialDelayMs: Delay;
  /** Root mean square of 16-bit samples that counts as speech. */
  speechThreshold: number;
}

export const SCRIBE_DEFAULTS: ScribeSettings = {
  transcripts: USUAL_TRANSCRIPTS,
  commitDelayMs: 300,
  partialEveryMs: 250,
  partialDelayMs: 150,
  speechThreshold: 500,
};

export const SCRIBE_KNOBS = {
  commitDelayMs: delaySchema.exactOptional(),
  partialDelayMs: delaySchema.exactOptional(),
};

/** Silence that makes a pause: shorter ones are within words. */
const PAUSE_MS = 60;
const LEAST_COMMIT_MS = 300;

/** Why an address is refused, if it is. */
export function refusedScribe(query: URLSearchParams): string | undefined {
  if (!query.get('model_id')?.startsWith('scribe_')) return 'Only Scribe models are served here.';
  if (query.get('audio_format') !== 'ulaw_8000') return 'The emulator takes audio_format=ulaw_8000 only.';
  const strategy = query.get('commit_strategy') ?? 'manual';
  return strategy === 'manual' || strategy === 'vad' ? undefined : 'commit_strategy must be manual or vad.';
}

export class ScribeTranscription {
  readonly #settings: ScribeSettings;
  readonly #socket: VendorSocket;
  readonly #script: ScriptReader;
  readonly #detector: SpeechDetector;
  readonly #timestamps: boolean;
  /** Infinity: the client commits. */
  readonly #silenceMs: number;
  #started = false;
  #stretch: Stretch | undefined;
  #pauseTold = false;
  #nextPartialMs = 0;
  #audioMs = 0;
  #uncommittedMs = 0;

  constructor(settings: ScribeSettings, socket: VendorSocket, url: URL) {
    this.#settings = settings;
    this.#socket = socket;
    this.#script = new ScriptReader(() => settings.transcripts, url.pathname + url.search);
    this.#detector = new SpeechDetector(settings.speechThreshold);
    const query = url.searchParams;
    this.#timestamps = query.get('include_timestamps') === 'true';
    const silenceSeconds = Number(query.get('vad_silence_threshold_secs') ?? 1.5);
    this.#silenceMs = query.get('commit_strategy') === 'vad' ? silenceSeconds * 1000 : Infinity;
    socket.onText = (text) => this.#onText(text);
    socket.after(0, () => {
      this.#started = true;
      const config = { sample_rate: 8000, audio_format: 'ulaw_8000', model_id: query.get('model_id') };
      socket.send({ message_type: 'session_started', session_id: 'emulated', config });
    });
  }

  #refuse(name: string, error: string): void {
    this.#socket.send({ message_type: name, error });
    this.#socket.close(1008, name);
  }

  #onText(text: string): void {
    // What comes before the session is lost, as it is with the real one.
    if (!this.#started) return;
    const message = parseRecord(text);
    const audio = message?.['audio_base_64'];
    if (message?.['message_type'] !== 'input_audio_chunk' || typeof audio !== 'string') {
      return this.#refuse('input_error', 'Not an input_audio_chunk.');
    }
    const bytes = Buffer.from(audio, 'base64');
    this.#uncommittedMs += bytes.length / 8;
    for (const frame of this.#detector.push(bytes, () => this.#stretch !== undefined)) this.#onFrame(frame);
    if (message['commit'] === true) this.#commitByClient();
  }

  #onFrame(frame: DetectorFrame): void {
    this.#audioMs = frame.audioMs;
    if (frame.onsetMs !== undefined) {
      this.#stretch = this.#script.begin(frame.onsetMs);
      this.#stretch.lastVoicedMs = frame.audioMs;
      this.#nextPartialMs = frame.onsetMs + this.#settings.partialEveryMs;
    }
    const stretch = this.#stretch;
    if (stretch === undefined) return;
    if (frame.voiced) {
      stretch.lastVoicedMs = frame.audioMs;
      this.#pauseTold = false;
    }
    const quietMs = frame.audioMs - stretch.lastVoicedMs;
    if (quietMs >= this.#silenceMs) return this.#commit();
    const pauses = quietMs >= PAUSE_MS && !this.#pauseTold;
    if (pauses) this.#pauseTold = true;
    if (pauses || (frame.voiced && frame.audioMs >= this.#nextPartialMs)) this.#sayPartial(stretch);
  }

  #sayPartial(stretch: Stretch): void {
    this.#nextPartialMs = this.#audioMs + this.#settings.partialEveryMs;
    const text = textOf(stretch.interimWords(this.#audioMs, this.#pauseTold));
    this.#socket.sendLater(this.#socket.delays.drawMs(this.#settings.partialDelayMs), {
      message_type: 'partial_transcript',
      text,
    });
  }

  #commitByClient(): void {
    if (this.#uncommittedMs >= LEAST_COMMIT_MS) return this.#commit();
    const uncommitted = (this.#uncommittedMs / 1000).toFixed(2);
    this.#socket.send({
      message_type: 'commit_throttled',
      error: `Commit request ignored: only ${uncommitted}s of uncommitted audio. You need at least 0.3s of uncommitted audio before committing.`,
    });
  }

  #commit(): void {
    const stretch = this.#stretch;
    this.#stretch = undefined;
    this.#uncommittedMs = 0;
    const words = stretch?.finalWords() ?? [];
    if (stretch !== undefined) this.#script.end(stretch);
    const text = textOf(words);
    const delayMs = this.#socket.delays.drawMs(this.#settings.commitDelayMs);
    this.#socket.sendLater(delayMs, { message_type: 'committed_transcript', text });
    if (!this.#timestamps) return;
    const timed = words.map(({ punctuated_word: word, start, end, confidence }) => ({
      text: word,
      start,
      end,
      type: 'word',
      logprob: Math.log(confidence),
    }));
    this.#socket.sendLater(0, { message_type: 'committed_transcript_with_timestamps', text, words: timed });
  }
}

function textOf(words: readonly Word[]): string {
  return words.map((word) => word.punctuated_word).join(' ');
}
