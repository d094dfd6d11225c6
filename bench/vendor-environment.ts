/** The environment that points a server at emulated vendors. */
import type { Emulator, EmulatorSettings } from './emulators/server.ts';

type Vendor = 'deepgram' | 'openai' | 'elevenlabs' | 'anthropic';

interface Reachable extends Pick<Emulator, 'url'> {
  readonly settings: Pick<EmulatorSettings, 'apiKey'>;
}

/** The key and the base URL of each vendor given. */
export function vendorEnvironment(vendors: Readonly<Partial<Record<Vendor, Reachable>>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(vendors).flatMap(([name, { url, settings }]) => [
      [`${name.toUpperCase()}_API_KEY`, settings.apiKey],
      [`${name.toUpperCase()}_BASE_URL`, url],
    ]),
  );
}
