/** The three emulated cloud vendors, and the environment that points a server at them. */
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import type { DeepgramEmulator, DeepgramEmulatorSettings } from '../../bench/emulators/deepgram.ts';
import { startElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import type { ElevenLabsEmulator, ElevenLabsEmulatorSettings } from '../../bench/emulators/elevenlabs.ts';
import { startOpenAiEmulator } from '../../bench/emulators/openai.ts';
import type { OpenAiEmulator, OpenAiEmulatorSettings } from '../../bench/emulators/openai.ts';

export interface EmulatedCloud {
  readonly deepgram: DeepgramEmulator;
  readonly openai: OpenAiEmulator;
  readonly elevenlabs: ElevenLabsEmulator;
  readonly environment: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

export interface CloudSettings {
  readonly deepgram?: Partial<DeepgramEmulatorSettings>;
  readonly openai?: Partial<OpenAiEmulatorSettings>;
  readonly elevenlabs?: Partial<ElevenLabsEmulatorSettings>;
}

export async function startEmulatedCloud(settings: CloudSettings = {}): Promise<EmulatedCloud> {
  const [deepgram, openai, elevenlabs] = await Promise.all([
    startDeepgramEmulator(settings.deepgram),
    startOpenAiEmulator(settings.openai),
    startElevenLabsEmulator(settings.elevenlabs),
  ]);
  return {
    deepgram,
    openai,
    elevenlabs,
    environment: {
      DEEPGRAM_API_KEY: deepgram.settings.apiKey,
      DEEPGRAM_BASE_URL: deepgram.url,
      OPENAI_API_KEY: openai.settings.apiKey,
      OPENAI_BASE_URL: openai.url,
      ELEVENLABS_API_KEY: elevenlabs.settings.apiKey,
      ELEVENLABS_BASE_URL: elevenlabs.url,
    },
    async close() {
      await Promise.all([deepgram.close(), openai.close(), elevenlabs.close()]);
    },
  };
}
