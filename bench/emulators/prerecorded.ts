/** Deepgram's transcription of recordings on loopback: finds the stretches of speech in a WAV, and says what the script says of each. */
import { WavError, parseWavChannels } from '../phone/wav.ts';
import type { Delay } from './delays.ts';
import type { VendorExchange } from './exchange.ts';
import { parseRecord } from './json.ts';
import { encodeMulaw } from './mulaw.ts';
import { ScriptReader } from './script.ts';
import type { Script, Stretch } from './script.ts';
import { SpeechDetector } from './speech-detector.ts';

export interface RecordingSettings {
  /** Each channel begins with the first entry. A function is told the channel in the address, as `#channel=1`. */
  readonly transcripts: Script;
  readonly recordingDelayMs: Delay;
  readonly speechThreshold: number;
}

/** The real one's default for `utt_split`. */
const UTTERANCE_SILENCE_MS = 800;

export async function serveRecording(settings: RecordingSettings, exchange: VendorExchange): Promise<void> {
  const { url, request } = exchange;
  const isJson = request.headers['content-type']?.includes('json') === true;
  const bytes = isJson ? await download(parseRecord(exchange.body.toString('utf8'))?.['url']) : exchange.body;
  if (bytes === undefined)
    return refuse(exchange, 'REMOTE_CONTENT_ERROR', 'The remote server hosting the media failed.');
  let channels: Int16Array[];
  try {
    channels = parseWavChannels(bytes);
  } catch (error) {
    if (!(error instanceof WavError)) throw error;
    return refuse(exchange, 'Bad Request', 'Bad Request: failed to process audio: corrupt or unsupported data');
  }
  const heard = url.searchParams.get('multichannel') === 'true' ? channels : [mix(channels)];
  const utterances = heard.flatMap((pcm, channel) => {
    const script = new ScriptReader(() => settings.transcripts, `${url.pathname}${url.search}#channel=${channel}`);
    return stretchesOf(pcm, script, settings.speechThreshold).map((stretch) => utteranceOf(stretch, channel));
  });
  await exchange.pause(exchange.delays.drawMs(settings.recordingDelayMs));
  exchange.sendJson(200, {
    metadata: {
      request_id: 'emulated',
      created: '1970-01-01T00:00:00.000Z',
      duration: (channels[0]?.length ?? 0) / 8000,
      channels: heard.length,
    },
    results: {
      channels: heard.map((_, channel) => {
        const own = utterances.filter((each) => each.channel === channel);
        const transcript = own.map((each) => each.transcript).join(' ');
        return { alternatives: [{ transcript, confidence: 0.99, words: own.flatMap(({ words }) => words) }] };
      }),
      ...(url.searchParams.get('utterances') === 'true' ? { utterances } : {}),
    },
  });
}

function refuse(exchange: VendorExchange, code: string, message: string): void {
  exchange.refuse({ status: 400, body: { err_code: code, err_msg: message, request_id: 'emulated' } });
}

/** From this machine only. */
async function download(url: unknown): Promise<Uint8Array | undefined> {
  if (typeof url !== 'string' || !URL.canParse(url) || new URL(url).hostname !== '127.0.0.1') return undefined;
  const response = await fetch(url).catch(() => undefined);
  return response?.ok === true ? new Uint8Array(await response.arrayBuffer()) : undefined;
}

function mix(channels: readonly Int16Array[]): Int16Array {
  const length = channels[0]?.length ?? 0;
  return Int16Array.from(
    { length },
    (_, at) => channels.reduce((sum, pcm) => sum + (pcm[at] ?? 0), 0) / channels.length,
  );
}

function stretchesOf(pcm: Int16Array, script: ScriptReader, threshold: number): Stretch[] {
  const stretches: Stretch[] = [];
  let current: Stretch | undefined;
  for (const frame of new SpeechDetector(threshold).push(encodeMulaw(pcm), () => current !== undefined)) {
    if (frame.onsetMs !== undefined) {
      current = script.begin(frame.onsetMs);
      stretches.push(current);
    }
    if (current === undefined) continue;
    if (frame.voiced) current.lastVoicedMs = frame.audioMs;
    if (frame.audioMs - current.lastVoicedMs < UTTERANCE_SILENCE_MS) continue;
    script.end(current);
    current = undefined;
  }
  return stretches;
}

function utteranceOf(stretch: Stretch, channel: number) {
  const words = stretch.finalWords();
  return {
    start: stretch.startMs / 1000,
    end: stretch.lastVoicedMs / 1000,
    confidence: 0.99,
    channel,
    transcript: words.map((word) => word.punctuated_word).join(' '),
    words,
  };
}
