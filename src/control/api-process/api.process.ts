/** The API's process: the whole of it on a database pool of its own; only the calls themselves are the main process's. */
import type { Socket } from 'node:net';
import { inspect } from 'node:util';
import { pino } from 'pino';
import { LOG_OPTIONS } from '../../core/log-options.ts';
import { apiDependencies } from '../api-settings.ts';
import { EventFeed } from '../calls/feed.ts';
import { openPostgres } from '../db/postgres.ts';
import { openTenantDoor } from '../db/tenant.ts';
import { buildHttp } from '../http.ts';
import { RemoteDesk } from './desk.ts';
import type { ApiProcessData, FromApiProcess, ToApiProcess } from './protocol.ts';
import { SharedConnections } from './shared-connections.ts';

/** Lines are written together, so that the main process, which relays them, is seldom woken. */
const LOG_OUTPUT = { dest: 1, sync: false, minLength: 8_192, periodicFlush: 100, maxLength: 4_000_000 };

// Signals go to a group of processes at once, but this one serves until the calls have ended: its parent says when, or is gone.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.once('disconnect', () => process.exit(0));
process.once('message', (message: ToApiProcess) => {
  if (message.type !== 'start') throw new Error(`The first message is '${message.type}', and should be 'start'.`);
  serve(message.data).catch(fail);
});
if (!process.connected) process.exit(0);

function fail(thrown: unknown): never {
  process.stderr.write(`${inspect(thrown)}\n`);
  process.exit(1);
}

/** The main process is gone if it cannot be told; then 'disconnect' follows. */
function say(message: FromApiProcess, socket?: Socket, onSent: () => void = () => {}): void {
  process.send?.(message, socket, undefined, onSent);
}

async function serve(data: ApiProcessData): Promise<void> {
  const log = pino({ level: data.logLevel, ...LOG_OPTIONS }, pino.destination(LOG_OUTPUT));
  const database = openPostgres({ url: data.databaseUrl, log, poolSize: data.poolSize });
  const feed = new EventFeed(openTenantDoor(database), log);
  const remote = new RemoteDesk((id, question) => say({ type: 'ask', id, question }));
  const http = await buildHttp({
    log,
    corsOrigins: data.corsOrigins,
    trustedProxies: data.trustedProxies,
    // Declared for the document; the main process answers for the server.
    health: {
      readiness: () => ({ api: true }),
      metrics: () => Promise.resolve({ contentType: 'text/plain', text: '' }),
    },
    api: apiDependencies(data.settings, { database, feed, desk: remote.desk }),
  });
  const connections = new SharedConnections(http.server, { mainSocketPath: data.mainSocketPath, say });
  const close = async (): Promise<void> => {
    connections.stopReturning();
    await http.close();
    await connections.close();
    await database.close();
    process.disconnect();
  };
  process.on('message', (message: ToApiProcess, socket: unknown) => {
    if (message.type === 'connection') connections.take(message, socket);
    else if (message.type === 'taken') connections.taken(message.number);
    else if (message.type === 'answer') remote.answer(message.id, message.value);
    else if (message.type === 'fault') remote.fail(message.id, message.fault);
    else if (message.type === 'wake') feed.wake(message.orgIds);
    else if (message.type === 'close') close().catch(fail);
  });
  await http.listen({ path: data.socketPath });
  say({ type: 'listening' });
}
