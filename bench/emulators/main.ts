/** `npm run emulators`: every vendor on loopback, how to point a server at them and how to break them. Runs until Ctrl-C. */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { parseArgs } from 'node:util';
import { startAnthropicEmulator } from './anthropic.ts';
import { serveControl } from './control.ts';
import { startDeepgramEmulator } from './deepgram.ts';
import { startElevenLabsEmulator } from './elevenlabs.ts';
import { startOpenAiEmulator } from './openai.ts';
import type { Emulator } from './server.ts';

const DEFAULT_PORT_BASE = 9100;

/** In the order of their ports, the first being `--port-base` + 1. */
const VENDORS = [
  { name: 'deepgram', start: startDeepgramEmulator },
  { name: 'openai', start: startOpenAiEmulator },
  { name: 'elevenlabs', start: startElevenLabsEmulator },
  { name: 'anthropic', start: startAnthropicEmulator },
] as const;

const USAGE = `Emulates ${VENDORS.map(({ name }) => name).join(', ')} on 127.0.0.1, so that the cloud path can be tried without keys.

  --port-base N   the port of the control server; the vendors have those after it. 0 picks free ones (default ${DEFAULT_PORT_BASE})
  --help          this text
`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { 'port-base': { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help === true) {
    console.log(USAGE);
    return;
  }
  const base = Number(values['port-base'] ?? DEFAULT_PORT_BASE);
  const last = 65_535 - VENDORS.length;
  if (!Number.isInteger(base) || base < 0 || base > last) throw new Error(`--port-base must be from 0 to ${last}.`);
  const running = new Map<string, Emulator>();
  let control: Server | undefined;
  try {
    for (const [index, { name, start }] of VENDORS.entries()) {
      running.set(name, await start({ port: base === 0 ? 0 : base + 1 + index }));
    }
    control = await listenControl(base, running);
    console.log(instructions(running, control));
    await new Promise<void>((resolve) => {
      process.once('SIGINT', resolve);
      process.once('SIGTERM', resolve);
    });
  } finally {
    control?.closeAllConnections();
    control?.close();
    await Promise.all(Array.from(running.values(), (emulator) => emulator.close()));
  }
}

/** Serves every emulator's knobs beneath its name, so that one that refuses connections can be told to stop that. */
async function listenControl(port: number, emulators: ReadonlyMap<string, Emulator>): Promise<Server> {
  const server = createServer((request, response) => {
    const emulator = emulators.get(request.url?.split('/')[1] ?? '');
    if (emulator !== undefined) {
      serveControl(emulator, request, response).catch(() => response.destroy());
      return;
    }
    const names = Array.from(emulators.keys()).join('|');
    response.writeHead(404).end(`There is /{${names}}/__emulator/settings here.\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return server;
}

function instructions(emulators: ReadonlyMap<string, Emulator>, control: Server): string {
  const address = control.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const exports = Array.from(emulators, ([name, { url, settings }]) => {
    const variable = name.toUpperCase();
    return `export ${variable}_API_KEY=${settings.apiKey} ${variable}_BASE_URL=${url}`;
  });
  return `Emulating ${Array.from(emulators.keys()).join(', ')}. Run the server with:

${exports.join('\n')}

Knobs, while calls run (bench/emulators/faults.ts has all faults, delays.ts the delays):

curl -X PUT 127.0.0.1:${port}/openai/__emulator/settings -d '{"faults":{"refuse":{"status":429,"retryAfterSeconds":3}}}'
curl -X PUT 127.0.0.1:${port}/openai/__emulator/settings -d '{"faults":{},"firstTokenMs":{"base":350,"tail":{"share":0.05,"ms":3000}}}'
curl 127.0.0.1:${port}/openai/__emulator/settings

Ctrl-C ends them.`;
}

main().catch((error: unknown) => {
  console.error(`The emulators could not run: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
