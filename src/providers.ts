/** The cloud providers that the configuration has keys for, built alike for the server and for `npm run doctor`. */
import type { Config } from './config.ts';
import { createAnthropicLlm } from './pipeline/providers/anthropic/llm.ts';
import { createDeepgramStt } from './pipeline/providers/deepgram/stt.ts';
import { createDeepgramTts } from './pipeline/providers/deepgram/tts.ts';
import { createElevenLabsStt } from './pipeline/providers/elevenlabs/stt.ts';
import { createElevenLabsTts } from './pipeline/providers/elevenlabs/tts.ts';
import type { Dialler } from './pipeline/providers/dial.ts';
import { HttpConnections } from './pipeline/providers/http-connections.ts';
import { createOpenAiLlm } from './pipeline/providers/openai/llm.ts';
import { createOpenAiStt } from './pipeline/providers/openai/realtime-stt.ts';
import { createOpenAiTts } from './pipeline/providers/openai/tts.ts';
import type { LlmProvider, SttProvider, TtsProvider } from './pipeline/providers/spec.ts';

/** By stage, in no order of preference. */
export interface CloudProviders {
  readonly stt: readonly SttProvider[];
  readonly llm: readonly LlmProvider[];
  readonly tts: readonly TtsProvider[];
  /** Aborts generations that still run and drops every kept-alive connection. */
  close(): Promise<void>;
}

/** Which variable turns a vendor on, and what for. */
export const CLOUD_VENDORS = {
  deepgram: { variable: 'DEEPGRAM_API_KEY', stages: ['stt', 'tts'] },
  openai: { variable: 'OPENAI_API_KEY', stages: ['stt', 'llm', 'tts'] },
  anthropic: { variable: 'ANTHROPIC_API_KEY', stages: ['llm'] },
  elevenlabs: { variable: 'ELEVENLABS_API_KEY', stages: ['stt', 'tts'] },
} as const;

type CloudConfig = Pick<Config, keyof typeof CLOUD_VENDORS>;

/** `dialler`: where their sockets come from; its owner closes it. Absent: they are dialled when they are needed. */
export function createCloudProviders(
  { deepgram, openai, anthropic, elevenlabs }: CloudConfig,
  dialler?: Dialler,
): CloudProviders {
  const connections = new HttpConnections();
  const llm = [
    openai && createOpenAiLlm({ ...openai, connections }),
    anthropic && createAnthropicLlm({ ...anthropic, connections }),
  ].filter((provider) => provider !== undefined);
  return {
    stt: [
      deepgram && createDeepgramStt({ ...deepgram, dialler }),
      openai && createOpenAiStt({ ...openai, dialler }),
      elevenlabs && createElevenLabsStt({ ...elevenlabs, dialler }),
    ].filter((provider) => provider !== undefined),
    llm,
    tts: [
      elevenlabs && createElevenLabsTts({ ...elevenlabs, connections, dialler }),
      deepgram && createDeepgramTts({ ...deepgram, dialler }),
      openai && createOpenAiTts({ ...openai, connections }),
    ].filter((provider) => provider !== undefined),
    async close() {
      await Promise.all(llm.map((provider) => provider.close()));
      await connections.close();
    },
  };
}
