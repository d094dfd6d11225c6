/** The emulated cloud vendors, and the environment that points a server at them. */
import { startAnthropicEmulator } from '../../bench/emulators/anthropic.ts';
import type { AnthropicEmulator, AnthropicEmulatorSettings } from '../../bench/emulators/anthropic.ts';
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import type { DeepgramEmulator, DeepgramEmulatorSettings } from '../../bench/emulators/deepgram.ts';
import { startElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import type { ElevenLabsEmulator, ElevenLabsEmulatorSettings } from '../../bench/emulators/elevenlabs.ts';
import { startOpenAiEmulator } from '../../bench/emulators/openai.ts';
import type { OpenAiEmulator, OpenAiEmulatorSettings } from '../../bench/emulators/openai.ts';
import { vendorEnvironment } from '../../bench/vendor-environment.ts';

export interface EmulatedCloud {
  readonly deepgram: DeepgramEmulator;
  readonly openai: OpenAiEmulator;
  readonly elevenlabs: ElevenLabsEmulator;
  readonly anthropic: AnthropicEmulator;
  readonly environment: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

export interface CloudSettings {
  readonly deepgram?: Partial<DeepgramEmulatorSettings>;
  readonly openai?: Partial<OpenAiEmulatorSettings>;
  readonly elevenlabs?: Partial<ElevenLabsEmulatorSettings>;
  readonly anthropic?: Partial<AnthropicEmulatorSettings>;
}

export async function startEmulatedCloud(settings: CloudSettings = {}): Promise<EmulatedCloud> {
  const [deepgram, openai, elevenlabs, anthropic] = await Promise.all([
    startDeepgramEmulator(settings.deepgram),
    startOpenAiEmulator(settings.openai),
    startElevenLabsEmulator(settings.elevenlabs),
    startAnthropicEmulator(settings.anthropic),
  ]);
  return {
    deepgram,
    openai,
    elevenlabs,
    anthropic,
    environment: vendorEnvironment({ deepgram, openai, elevenlabs, anthropic }),
    async close() {
      await Promise.all([deepgram.close(), openai.close(), elevenlabs.close(), anthropic.close()]);
    },
  };
}
