/** Deepgram's Aura on loopback (`/v1/speak`): text is buffered until it is flushed, and then spoken in tones. */
import { z } from 'zod';
import { delaySchema } from './delays.ts';
import type { Delay } from './delays.ts';
import { spoilAudio } from './faults.ts';
import { parseRecord } from './json.ts';
import type { Refusal, VendorSocket } from './server.ts';
import { chunksOf, synthesise } from './voice.ts';
import type { Voice } from './voice.ts';

export interface AuraSettings {
  auraVoice: Voice;
  /** From a flush to its first audio. */
  auraFirstAudioMs: Delay;
  /** Audio in one message. */
  auraChunkMs: number;
  /** How much faster than real time audio is made after the first chunk. */
  auraSpeed: number;
}

export const AURA_DEFAULTS: AuraSettings = {
  auraVoice: 'tones',
  auraFirstAudioMs: 200,
  auraChunkMs: 250,
  auraSpeed: 8,
};

export const AURA_KNOBS = {
  auraFirstAudioMs: delaySchema.exactOptional(),
  auraChunkMs: z.number().min(20).max(10_000).exactOptional(),
  auraSpeed: z.number().min(0.01).max(10_000).exactOptional(),
};

/** Flushes in a minute; beyond that a flush brings a warning and nothing else. */
const MAX_FLUSHES = 20;
const FLUSH_WINDOW_MS = 60_000;
const MAX_TEXT_LENGTH = 2_000;

/** Why a request is refused, if it is. */
export function refusedSpeech({ searchParams: query }: URL): Refusal | undefined {
  const refuse = (message: string): Refusal => ({ status: 400, body: { err_code: 'Bad Request', err_msg: message } });
  if (!query.get('model')?.startsWith('aura-')) return refuse('No such model/language/tier combination found.');
  if (query.get('encoding') === 'mulaw' && query.get('sample_rate') === '8000') return undefined;
  return refuse('The emulator makes encoding=mulaw and sample_rate=8000 only.');
}

interface Job {
  readonly chunks: Uint8Array[];
  heard: boolean;
}

export class AuraStream {
  readonly #settings: AuraSettings;
  readonly #socket: VendorSocket;
  #buffer = '';
  /** Flushed texts that are being spoken, one after the other. */
  #jobs: Job[] = [];
  #stopSpeaking = (): void => {};
  #flushedAtMs: number[] = [];
  #sequence = 0;

  constructor(settings: AuraSettings, socket: VendorSocket, url: URL) {
    this.#settings = settings;
    this.#socket = socket;
    socket.onText = (text) => this.#onText(text);
    const model = url.searchParams.get('model');
    const metadata = { type: 'Metadata', request_id: 'emulated', model_name: model, model_version: 'emulated' };
    socket.after(0, () => socket.send({ ...metadata, model_uuid: 'emulated' }));
  }

  #onText(text: string): void {
    const message = parseRecord(text);
    switch (message?.['type']) {
      case 'Speak':
        if (typeof message?.['text'] !== 'string' || message['text'].length > MAX_TEXT_LENGTH) return this.#refuse();
        this.#buffer += message['text'];
        return;
      case 'Flush':
        return this.#flush();
      case 'Clear':
        this.#buffer = '';
        this.#jobs = [];
        this.#stopSpeaking();
        return this.#socket.send({ type: 'Cleared', sequence_id: this.#sequence++ });
      case 'Close':
        return this.#socket.close(1000);
      default:
        return this.#refuse();
    }
  }

  #refuse(): void {
    const description = 'The message could not be understood.';
    this.#socket.send({ type: 'Error', code: 'DATA-0000', description });
    this.#socket.close(1008, 'DATA-0000');
  }

  #flush(): void {
    const nowMs = performance.now();
    this.#flushedAtMs = this.#flushedAtMs.filter((atMs) => nowMs - atMs < FLUSH_WINDOW_MS);
    if (this.#flushedAtMs.length >= MAX_FLUSHES) {
      const description = 'Too many Flush messages; wait for the 60 second window to pass.';
      return this.#socket.send({ type: 'Warning', code: 'EXCESSIVE_FLUSH', description });
    }
    this.#flushedAtMs.push(nowMs);
    const { auraVoice, auraChunkMs } = this.#settings;
    const spoken = this.#buffer.trim() === '' ? [] : chunksOf(synthesise(auraVoice, this.#buffer), auraChunkMs);
    this.#buffer = '';
    this.#jobs.push({ chunks: spoken.map(({ audio }) => audio), heard: false });
    if (this.#jobs.length === 1) this.#begin();
  }

  #begin(): void {
    if (this.#jobs.length === 0) return;
    const firstAudioMs = this.#socket.delays.drawMs(this.#settings.auraFirstAudioMs);
    this.#stopSpeaking = this.#socket.after(firstAudioMs, () => this.#speak());
  }

  #speak(): void {
    const job = this.#jobs[0];
    if (job === undefined) return;
    const chunk = job.chunks.shift();
    if (chunk === undefined) {
      this.#jobs.shift();
      this.#socket.send({ type: 'Flushed', sequence_id: this.#sequence++ });
      return this.#begin();
    }
    const bytes = spoilAudio(chunk, this.#socket.faults().audio, { first: !job.heard });
    job.heard = true;
    if (bytes !== undefined) this.#socket.send(bytes);
    this.#stopSpeaking = this.#socket.after(chunk.length / 8 / this.#settings.auraSpeed, () => this.#speak());
  }
}
