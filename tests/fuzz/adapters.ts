/** Every cloud adapter that reads what a vendor says while a call goes on, with what its vendor usually says. */
import { createAnthropicLlm } from '../../src/pipeline/providers/anthropic/llm.ts';
import { parseEvent } from '../../src/pipeline/providers/anthropic/wire.ts';
import { parseAuraMessage } from '../../src/pipeline/providers/deepgram/aura-wire.ts';
import { parseFluxMessage } from '../../src/pipeline/providers/deepgram/flux-wire.ts';
import { createDeepgramStt } from '../../src/pipeline/providers/deepgram/stt.ts';
import { createDeepgramTts } from '../../src/pipeline/providers/deepgram/tts.ts';
import { parseMessage as parseDeepgramMessage } from '../../src/pipeline/providers/deepgram/wire.ts';
import { createElevenLabsHttpTts } from '../../src/pipeline/providers/elevenlabs/http-tts.ts';
import { parseScribeMessage } from '../../src/pipeline/providers/elevenlabs/scribe-wire.ts';
import { createElevenLabsStt } from '../../src/pipeline/providers/elevenlabs/stt.ts';
import { createElevenLabsTts } from '../../src/pipeline/providers/elevenlabs/tts.ts';
import { parseMessage as parseElevenLabsMessage } from '../../src/pipeline/providers/elevenlabs/wire.ts';
import { parseJsonObject } from '../../src/pipeline/providers/json.ts';
import { createOpenAiLlm } from '../../src/pipeline/providers/openai/llm.ts';
import { createOpenAiStt } from '../../src/pipeline/providers/openai/realtime-stt.ts';
import { parseRealtimeEvent } from '../../src/pipeline/providers/openai/realtime-wire.ts';
import { createOpenAiTts } from '../../src/pipeline/providers/openai/tts.ts';
import { parseChunk } from '../../src/pipeline/providers/openai/wire.ts';
import {
  ANTHROPIC,
  AURA,
  DEEPGRAM,
  ELEVENLABS,
  FLUX,
  OPENAI,
  REALTIME,
  REFUSALS,
  SCRIBE,
} from '../providers/recorded.ts';
import type { Random } from '../simulation/random.ts';
import { oggBody } from './ogg-bodies.ts';
import { hearing, speaking, writing } from './streams.ts';
import type { Reach, Session } from './streams.ts';

/** `wire`: messages on a WebSocket, server-sent events, or the bytes of a body. */
export interface FuzzedAdapter {
  readonly name: string;
  readonly recorded: readonly string[];
  readonly wire: 'socket' | 'events' | 'bytes';
  readonly speaksFirst?: boolean;
  /** Of bytes: a body in so many pieces. When absent it is noise. */
  readonly body?: (random: Random, pieces: number) => Uint8Array[];
  /** Whether a message ends a stream: one that does is said last, so that those before it are read. */
  readonly ends: (text: string) => boolean;
  readonly session: (reach: Reach) => Session;
}

/** A machine that is busy with a hundred thousand messages is slow to connect. */
const PATIENT = { apiKey: 'k', connectTimeoutMs: 10_000 };
const failed = ({ type }: { readonly type: string }): boolean => type === 'failed';
const never = (): boolean => false;

function throws(read: () => unknown): boolean {
  try {
    read();
    return false;
  } catch {
    return true;
  }
}

/** As a generation goes, not as a message: both vendors' drivers stop at a finish, and at what they cannot read. */
function endsChat(text: string): boolean {
  return throws(() => {
    if (parseChunk(parseJsonObject(text)).finishReason !== undefined) throw new Error('finished');
  });
}

function endsReply(text: string): boolean {
  return throws(() => {
    const event = parseEvent(text);
    const isNameless = event.type === 'tool-began' && (event.id === '' || event.name === '');
    if (event.type === 'finished' || event.type === 'failed' || isNameless) throw new Error('ended');
  });
}

export const ADAPTERS: readonly FuzzedAdapter[] = [
  {
    name: 'deepgram',
    wire: 'socket',
    recorded: DEEPGRAM,
    session: ({ url: baseUrl, dialler }) => hearing(createDeepgramStt({ ...PATIENT, baseUrl, dialler }), 'nova-3'),
    ends: (text) => failed(parseDeepgramMessage(text)),
  },
  {
    name: 'deepgram flux',
    wire: 'socket',
    recorded: FLUX,
    session: ({ url: baseUrl, dialler }) =>
      hearing(createDeepgramStt({ ...PATIENT, baseUrl, dialler }), 'flux-general-en'),
    ends: (text) => failed(parseFluxMessage(text)),
  },
  {
    name: 'elevenlabs scribe',
    wire: 'socket',
    speaksFirst: true,
    recorded: SCRIBE,
    session: ({ url: baseUrl, dialler }) =>
      hearing(createElevenLabsStt({ ...PATIENT, baseUrl, dialler }), 'scribe_v2_realtime'),
    ends: (text) => failed(parseScribeMessage(text)),
  },
  {
    name: 'openai realtime',
    wire: 'socket',
    recorded: REALTIME,
    session: ({ url, dialler }) =>
      hearing(createOpenAiStt({ ...PATIENT, baseUrl: `${url}/v1`, dialler }), 'gpt-live-transcribe'),
    ends: (text) => failed(parseRealtimeEvent(text)),
  },
  {
    name: 'openai chat',
    wire: 'events',
    recorded: OPENAI,
    session: ({ url, connections }) => writing(createOpenAiLlm({ apiKey: 'k', baseUrl: `${url}/v1`, connections })),
    ends: endsChat,
  },
  {
    name: 'anthropic',
    wire: 'events',
    recorded: ANTHROPIC,
    session: ({ url: baseUrl, connections }) => writing(createAnthropicLlm({ apiKey: 'k', baseUrl, connections })),
    ends: endsReply,
  },
  {
    name: 'elevenlabs',
    wire: 'socket',
    recorded: ELEVENLABS,
    session: ({ url: baseUrl, dialler }) => speaking(createElevenLabsTts({ ...PATIENT, baseUrl, dialler })),
    // Also of one context: what names it after that ends the stream.
    ends: (text) => failed(parseElevenLabsMessage(text)),
  },
  {
    name: 'deepgram aura',
    wire: 'socket',
    recorded: AURA,
    session: ({ url: baseUrl, dialler }) => speaking(createDeepgramTts({ ...PATIENT, baseUrl, dialler })),
    ends: (text) => failed(parseAuraMessage(text)),
  },
  {
    name: 'elevenlabs http',
    wire: 'bytes',
    recorded: REFUSALS,
    session: ({ url: baseUrl, connections }) =>
      speaking(createElevenLabsHttpTts({ apiKey: 'k', baseUrl, connections })),
    ends: never,
  },
  {
    name: 'openai speech',
    wire: 'bytes',
    recorded: REFUSALS,
    session: ({ url, connections }) => speaking(createOpenAiTts({ apiKey: 'k', baseUrl: `${url}/v1`, connections })),
    ends: never,
  },
  {
    name: 'openai speech opus',
    wire: 'bytes',
    recorded: REFUSALS,
    body: oggBody,
    session: ({ url, connections }) =>
      speaking(createOpenAiTts({ apiKey: 'k', baseUrl: `${url}/v1`, connections }), { response_format: 'opus' }),
    ends: never,
  },
];
