/**
 * The door through which a running emulator's knobs are turned from a shell:
 *
 * - `GET /__emulator/settings`: what can be changed, as it is now;
 * - `PUT /__emulator/settings` with some of it: changes that, and answers as GET does. Each value replaces the old one as a whole,
 *   so `{"faults":{}}` ends every fault;
 * - `GET /__emulator/requests`: how often each path was asked for, as `{"POST /v1/…": 3}`, among the last thousand requests.
 *
 * An emulator that refuses connections refuses these too: `npm run emulators` serves the same on a port of its own.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { readBody } from './exchange.ts';
import { faultsSchema } from './faults.ts';
import type { EmulatorSettings, ReceivedRequest } from './server.ts';

export const CONTROL_PATH = '/__emulator/';

const faultsByName = z.record(z.string(), faultsSchema);

/** The knobs of every emulator; a vendor's own are added to them. */
export const COMMON_KNOBS = {
  faults: faultsSchema.exactOptional(),
  modelFaults: faultsByName.exactOptional(),
  pathFaults: faultsByName.exactOptional(),
};

/** What the door needs of an emulator. */
export interface Controlled {
  readonly settings: EmulatorSettings;
  readonly knobs: z.ZodType<Partial<EmulatorSettings>>;
  readonly requests: readonly ReceivedRequest[];
}

/** Answers a request for a path beneath {@link CONTROL_PATH}. */
export async function serveControl(
  emulator: Controlled,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readBody(request);
  const path = new URL(request.url ?? '/', 'http://127.0.0.1').pathname.replace(/^.*__emulator\//u, '');
  const answer = (status: number, value: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(value, null, 2)}\n`);
  };
  if (path === 'requests' && request.method === 'GET') return answer(200, countsOf(emulator.requests));
  if (path !== 'settings' || (request.method !== 'GET' && request.method !== 'PUT')) {
    return answer(404, { error: 'There is GET and PUT /__emulator/settings, and GET /__emulator/requests.' });
  }
  if (request.method === 'PUT') {
    const refused = change(emulator, body.toString('utf8'));
    if (refused !== undefined) return answer(400, { error: refused });
  }
  answer(200, shown(emulator));
}

/** Changes settings; the result says why not. */
function change(emulator: Controlled, text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'The body is not JSON. Example: {"faults":{"hang":true}}';
  }
  const parsed = emulator.knobs.safeParse(value);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the body'}: ${message}`);
    return `Nothing was changed. ${faults.join('; ')}`;
  }
  Object.assign(emulator.settings, parsed.data);
  return undefined;
}

/** The settings that can be changed. Those that are functions show as null. */
function shown({ settings, knobs }: Controlled): unknown {
  const names = knobs instanceof z.ZodObject ? Object.keys(knobs.shape) : [];
  return Object.fromEntries(Object.entries(settings).filter(([name]) => names.includes(name)));
}

function countsOf(requests: readonly ReceivedRequest[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { method, url } of requests) {
    const key = `${method} ${url.split('?', 1)[0]}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}
