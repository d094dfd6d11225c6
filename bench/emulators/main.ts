/** `npm run emulators`: the three vendors on loopback, and how to point a server at them. Runs until Ctrl-C. */
import { parseArgs } from 'node:util';
import { startDeepgramEmulator } from './deepgram.ts';
import { startElevenLabsEmulator } from './elevenlabs.ts';
import { startOpenAiEmulator } from './openai.ts';
import type { Emulator } from './server.ts';

const DEFAULT_PORT_BASE = 9101;

const USAGE = `Emulates Deepgram, OpenAI and ElevenLabs on 127.0.0.1, so that the cloud path can be tried without keys.

  --port-base N   the first of three ports; 0 picks free ones (default ${DEFAULT_PORT_BASE})
  --help          this text
`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { 'port-base': { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help === true) {
    console.log(USAGE);
    return;
  }
  const base = Number(values['port-base'] ?? DEFAULT_PORT_BASE);
  if (!Number.isInteger(base) || base < 0 || base > 65_533) throw new Error('--port-base must be from 0 to 65533.');
  const port = (offset: number): number => (base === 0 ? 0 : base + offset);
  const running: Record<string, Emulator<{ apiKey: string }>> = {};
  try {
    running['DEEPGRAM'] = await startDeepgramEmulator({ port: port(0) });
    running['OPENAI'] = await startOpenAiEmulator({ port: port(1) });
    running['ELEVENLABS'] = await startElevenLabsEmulator({ port: port(2) });
    console.log('Emulating Deepgram, OpenAI and ElevenLabs. Run the server with:\n');
    for (const [name, { url, settings }] of Object.entries(running)) {
      console.log(`export ${name}_API_KEY=${settings.apiKey} ${name}_BASE_URL=${url}`);
    }
    console.log('\nCtrl-C ends them.');
    await new Promise<void>((resolve) => {
      process.once('SIGINT', resolve);
      process.once('SIGTERM', resolve);
    });
  } finally {
    await Promise.all(Object.values(running).map((emulator) => emulator.close()));
  }
}

main().catch((error: unknown) => {
  console.error(`The emulators could not run: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
