/**
 * Deepgram on loopback. Its live API (v1; for v2 see flux.ts, for recordings prerecorded.ts, for speech aura.ts) hears when somebody
 * speaks, and says that they said what the script says.
 */
import { z } from 'zod';
import { AURA_DEFAULTS, AURA_KNOBS, AuraStream, refusedSpeech } from './aura.ts';
import type { AuraSettings } from './aura.ts';
import { COMMON_KNOBS } from './control.ts';
import { delaySchema } from './delays.ts';
import type { Delay } from './delays.ts';
import { FluxLiveStream, refusedFlux } from './flux.ts';
import { parseRecord } from './json.ts';
import { serveRecording } from './prerecorded.ts';
import { ScriptReader, USUAL_TRANSCRIPTS } from './script.ts';
import type { Script, Stretch, Word } from './script.ts';
import { FRAME_MS, SpeechDetector } from './speech-detector.ts';
import type { DetectorFrame } from './speech-detector.ts';
import { COMMON_DEFAULTS, VendorServer } from './server.ts';
import type { Emulator, EmulatorSettings, Refusal, VendorSocket } from './server.ts';

export interface DeepgramEmulatorSettings extends EmulatorSettings, AuraSettings {
  /** What the stretches of speech of a connection say. */
  transcripts: Script;
  /** From the arrival of the last voiced audio to its final, unless endpointing takes longer. */
  finalDelayMs: Delay;
  /**
   * Speech between two interims, and how long each takes to come out. Besides, every pause brings one with all that was
   * said, this long after the last sound: the real one goes on transcribing while silence flows.
   */
  interimEveryMs: number;
  interimDelayMs: Delay;
  /** Silence between two empty finals, as the real one sends them. */
  emptyFinalEveryMs: number;
  /** From a recording's last byte to its transcript. */
  recordingDelayMs: Delay;
  /** Flux: silence from the last sound to the EndOfTurn, at the usual threshold of 0.7. */
  fluxEndOfTurnMs: Delay;
  /** Whether Finalize is answered even when there was nothing to finalise; the real one does not promise it. */
  answersEmptyFinalize: boolean;
  /** Without audio and KeepAlive for this long: close 1011. */
  keepAliveTimeoutMs: number;
  /** Root mean square of 16-bit samples that counts as speech. */
  speechThreshold: number;
}

export type DeepgramEmulator = Emulator<DeepgramEmulatorSettings>;

const DEFAULTS: DeepgramEmulatorSettings = {
  ...COMMON_DEFAULTS,
  ...AURA_DEFAULTS,
  apiKey: 'emulated-deepgram-key',
  transcripts: USUAL_TRANSCRIPTS,
  finalDelayMs: 280,
  interimEveryMs: 250,
  interimDelayMs: 100,
  emptyFinalEveryMs: 5_000,
  recordingDelayMs: 500,
  fluxEndOfTurnMs: 260,
  answersEmptyFinalize: true,
  keepAliveTimeoutMs: 10_000,
  speechThreshold: 500,
};

const KNOBS = z.strictObject({
  ...COMMON_KNOBS,
  finalDelayMs: delaySchema.exactOptional(),
  interimDelayMs: delaySchema.exactOptional(),
  recordingDelayMs: delaySchema.exactOptional(),
  fluxEndOfTurnMs: delaySchema.exactOptional(),
  ...AURA_KNOBS,
});

/** Silence that makes a pause: shorter ones are within words. */
const PAUSE_MS = 60;

export async function startDeepgramEmulator(given: Partial<DeepgramEmulatorSettings> = {}): Promise<DeepgramEmulator> {
  const settings = { ...DEFAULTS, ...given };
  const server = await VendorServer.listen({ settings, knobs: KNOBS, errorBody });
  server.onRequest({
    method: 'POST',
    path: '/v1/listen',
    check: ({ request, url }) =>
      refusedKey(settings, request.headers.authorization) ?? refusedKeywords(url.searchParams),
    serve: (exchange) => serveRecording(settings, exchange),
  });
  server.onSocket({
    path: '/v1/listen',
    check: (request, url) =>
      refusedKey(settings, request.headers.authorization) ?? refusedAudio(url) ?? refusedKeywords(url.searchParams),
    serve: (socket, url) => new LiveStream(settings, socket, url),
  });
  server.onSocket({
    path: '/v2/listen',
    check: (request, url) => {
      const refused = refusedKey(settings, request.headers.authorization) ?? refusedAudio(url);
      if (refused !== undefined) return refused;
      const reason = refusedFlux(url.searchParams);
      return reason === undefined ? undefined : refusal(400, 'INVALID_QUERY_PARAMETER', reason);
    },
    serve: (socket, url) => new FluxLiveStream(settings, socket, url),
  });
  server.onSocket({
    path: '/v1/speak',
    check: (request, url) => refusedKey(settings, request.headers.authorization) ?? refusedSpeech(url),
    serve: (socket, url) => new AuraStream(settings, socket, url),
  });
  return server;
}

function refusal(status: number, code: string, message: string): Refusal {
  return { status, body: { err_code: code, err_msg: message, request_id: 'emulated' } };
}

function errorBody(status: number): unknown {
  return status === 404
    ? refusal(status, 'NOT_FOUND', 'Not found.').body
    : refusal(status, `EMULATED_${status}`, 'Refused.').body;
}

function refusedKey(settings: DeepgramEmulatorSettings, authorization: string | undefined): Refusal | undefined {
  return authorization === `Token ${settings.apiKey}`
    ? undefined
    : refusal(401, 'INVALID_AUTH', 'Invalid credentials.');
}

function refusedAudio({ searchParams: query }: URL): Refusal | undefined {
  if (query.get('encoding') === 'mulaw' && query.get('sample_rate') === '8000') return undefined;
  return refusal(400, 'Bad Request', 'The emulator takes encoding=mulaw and sample_rate=8000 only.');
}

function refusedKeywords(query: URLSearchParams): Refusal | undefined {
  if (query.get('model')?.startsWith('nova-3') && query.has('keywords')) {
    return refusal(400, 'Bad Request', 'Keywords are not supported for Nova-3. Use keyterm.');
  }
  return query.getAll('keyterm').length > 100 ? refusal(400, 'Bad Request', 'Too many keyterms.') : undefined;
}

/** Speech that no final covers yet; times in milliseconds of audio. */
interface Segment {
  readonly stretch: Stretch;
  nextInterimMs: number;
  /** The interim of this pause is on its way. */
  pauseTold: boolean;
}

class LiveStream {
  readonly #settings: DeepgramEmulatorSettings;
  readonly #socket: VendorSocket;
  readonly #detector: SpeechDetector;
  readonly #script: ScriptReader;
  readonly #interims: boolean;
  readonly #vadEvents: boolean;
  /** Words have punctuation and capitals, which they have only if somebody asks for them. */
  readonly #formats: boolean;
  /** Infinity: switched off. */
  readonly #endpointingMs: number;
  readonly #utteranceEndMs: number;
  #cancelTimeout = (): void => {};
  #segment: Segment | undefined;
  #audioMs = 0;
  /** End of what the last final covered. */
  #finalisedMs = 0;
  #lastWordEndMs: number | undefined;
  #lastFrameAtMs = 0;

  constructor(settings: DeepgramEmulatorSettings, socket: VendorSocket, url: URL) {
    this.#settings = settings;
    this.#socket = socket;
    this.#detector = new SpeechDetector(settings.speechThreshold);
    this.#script = new ScriptReader(() => settings.transcripts, url.pathname + url.search);
    const query = url.searchParams;
    this.#interims = query.get('interim_results') === 'true';
    this.#vadEvents = query.get('vad_events') === 'true';
    this.#formats = query.get('smart_format') === 'true' || query.get('punctuate') === 'true';
    const endpointing = query.get('endpointing');
    this.#endpointingMs = endpointing === 'false' ? Infinity : Number(endpointing ?? 10);
    this.#utteranceEndMs = Number(query.get('utterance_end_ms') ?? Infinity);
    socket.onText = (text) => this.#onText(text);
    socket.onBinary = (bytes) => this.#onAudio(bytes);
    this.#expectInput();
  }

  #drawMs(delay: Delay): number {
    return this.#socket.delays.drawMs(delay);
  }

  #expectInput(): void {
    this.#cancelTimeout();
    this.#cancelTimeout = this.#socket.after(this.#settings.keepAliveTimeoutMs, () => {
      this.#socket.close(1011, 'Deepgram did not receive audio data or a text message within the timeout window.');
    });
  }

  #onText(text: string): void {
    const message = parseRecord(text);
    if (message === undefined) return this.#socket.close(1008, 'DATA-0000');
    this.#expectInput();
    const { type } = message;
    if (type === 'Finalize') this.#finalize();
    else if (type === 'CloseStream') this.#closeStream();
  }

  #onAudio(bytes: Uint8Array): void {
    if (bytes.length === 0) return this.#closeStream();
    this.#expectInput();
    for (const frame of this.#detector.push(bytes, () => this.#segment !== undefined)) this.#onFrame(frame);
  }

  #onFrame(frame: DetectorFrame): void {
    this.#audioMs = frame.audioMs;
    this.#lastFrameAtMs = performance.now();
    if (frame.onsetMs !== undefined) this.#beginSegment(frame.onsetMs);
    const segment = this.#segment;
    if (segment === undefined) return this.#onSilence();
    const { stretch } = segment;
    const voiced = frame.voiced && frame.audioMs - FRAME_MS < (stretch.lastSoundMs ?? Infinity);
    if (voiced) {
      stretch.lastVoicedMs = frame.audioMs;
      segment.pauseTold = false;
    }
    const quietMs = frame.audioMs - stretch.lastVoicedMs;
    if (quietMs >= this.#endpointingMs) return this.#endSegment(segment, false);
    if (quietMs >= PAUSE_MS && !segment.pauseTold) return this.#tellPause(segment);
    // In the first moments of a silence nobody knows yet whether it is a pause.
    if (frame.audioMs < segment.nextInterimMs || (!voiced && !segment.pauseTold)) return;
    this.#sayInterim(segment, this.#drawMs(this.#settings.interimDelayMs));
  }

  #beginSegment(onsetMs: number): void {
    const { interimEveryMs, interimDelayMs } = this.#settings;
    const stretch = this.#script.begin(onsetMs);
    stretch.lastVoicedMs = this.#audioMs;
    this.#segment = { stretch, nextInterimMs: onsetMs + interimEveryMs, pauseTold: false };
    if (!this.#vadEvents) return;
    this.#socket.sendLater(this.#drawMs(interimDelayMs), {
      type: 'SpeechStarted',
      channel: [0],
      timestamp: onsetMs / 1000,
    });
  }

  #tellPause(segment: Segment): void {
    segment.pauseTold = true;
    const delayMs = this.#drawMs(this.#settings.interimDelayMs) - this.#sinceSoundMs(segment.stretch);
    this.#sayInterim(segment, Math.max(0, delayMs));
  }

  /** How long ago the sound ended in which the stretch's words were said; negative: it has not yet. */
  #sinceSoundMs({ soundEndMs }: Stretch): number {
    return this.#audioMs - soundEndMs + performance.now() - this.#lastFrameAtMs;
  }

  #onSilence(): void {
    const { emptyFinalEveryMs } = this.#settings;
    if (this.#lastWordEndMs !== undefined && this.#audioMs - this.#lastWordEndMs >= this.#utteranceEndMs) {
      const lastWordEnd = this.#lastWordEndMs / 1000;
      this.#lastWordEndMs = undefined;
      this.#socket.sendLater(0, { type: 'UtteranceEnd', channel: [0, 1], last_word_end: lastWordEnd });
    }
    if (this.#audioMs - this.#finalisedMs >= emptyFinalEveryMs) this.#sayFinal([], {});
  }

  #sayInterim(segment: Segment, delayMs: number): void {
    segment.nextInterimMs = this.#audioMs + this.#settings.interimEveryMs;
    if (!this.#interims) return;
    const words = segment.stretch.interimWords(this.#audioMs, segment.pauseTold);
    this.#socket.sendLater(delayMs, this.#results(words, {}));
  }

  #endSegment(segment: Segment, fromFinalize: boolean): void {
    this.#segment = undefined;
    this.#script.end(segment.stretch);
    const words = segment.stretch.finalWords();
    if (words.length > 0) this.#lastWordEndMs = segment.stretch.lastVoicedMs;
    const delayMs = this.#drawMs(this.#settings.finalDelayMs) - this.#sinceSoundMs(segment.stretch);
    this.#sayFinal(words, { speechFinal: true, fromFinalize }, delayMs);
  }

  #sayFinal(words: readonly Word[], flags: Flags, delayMs = 0): void {
    const message = this.#results(words, { ...flags, isFinal: true });
    this.#finalisedMs = this.#audioMs;
    this.#socket.sendLater(Math.max(0, delayMs), message);
  }

  #results(words: readonly Word[], flags: Flags): unknown {
    const told = this.#formats ? words : words.map(({ punctuated_word: _formatted, ...word }) => word);
    return results(told, { fromMs: this.#finalisedMs, toMs: this.#audioMs }, flags);
  }

  #finalize(): void {
    if (this.#segment !== undefined) return this.#endSegment(this.#segment, true);
    if (this.#settings.answersEmptyFinalize) this.#sayFinal([], { fromFinalize: true });
  }

  #closeStream(): void {
    if (this.#segment !== undefined) this.#endSegment(this.#segment, false);
    const duration = this.#audioMs / 1000;
    const created = '1970-01-01T00:00:00.000Z';
    const metadata = { type: 'Metadata', request_id: 'emulated', sha256: '', created, duration, channels: 1 };
    this.#socket.sendLater(0, metadata);
    this.#socket.after(this.#drawMs(this.#settings.finalDelayMs), () => this.#socket.close(1000));
  }
}

interface Flags {
  readonly isFinal?: boolean;
  readonly speechFinal?: boolean;
  readonly fromFinalize?: boolean;
}

type ToldWord = Omit<Word, 'punctuated_word'> & { readonly punctuated_word?: string };

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

function results(words: readonly ToldWord[], { fromMs, toMs }: Span, flags: Flags): unknown {
  const transcript = words.map((word) => word.punctuated_word ?? word.word).join(' ');
  return {
    type: 'Results',
    channel_index: [0, 1],
    duration: (toMs - fromMs) / 1000,
    start: fromMs / 1000,
    is_final: flags.isFinal ?? false,
    speech_final: flags.speechFinal ?? false,
    from_finalize: flags.fromFinalize ?? false,
    channel: { alternatives: [{ transcript, confidence: words.length > 0 ? 0.99 : 0, words }] },
    metadata: {
      request_id: 'emulated',
      model_info: { name: 'general-nova-3', version: 'emulated', arch: 'nova-3' },
      model_uuid: 'emulated',
    },
  };
}
