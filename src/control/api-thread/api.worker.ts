/** Worker thread of the API: the whole of it on a database pool of its own; only the calls themselves are the main thread's. */
import { parentPort, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { pino } from 'pino';
import { LOG_OPTIONS } from '../../core/log-options.ts';
import { lowerThreadPriority } from '../../core/thread-priority.ts';
import { apiDependencies } from '../api-settings.ts';
import { EventFeed } from '../calls/feed.ts';
import { openPostgres } from '../db/postgres.ts';
import { openTenantDoor } from '../db/tenant.ts';
import { buildHttp } from '../http.ts';
import { RemoteDesk } from './desk.ts';
import type { ApiThreadData, FromApiThread, ToApiThread } from './protocol.ts';

/** Where both want a core, a frame of a call goes before an answer to a request. */
const NICENESS = 10;

if (parentPort) await serve(parentPort, workerData as ApiThreadData);

async function serve(port: MessagePort, data: ApiThreadData): Promise<void> {
  const log = pino({ level: data.logLevel, ...LOG_OPTIONS });
  const isObliging = lowerThreadPriority(NICENESS);
  log.debug({ niceness: isObliging ? NICENESS : 0 }, 'the thread of the API begins');
  const database = openPostgres({ url: data.databaseUrl, log, poolSize: data.poolSize });
  const feed = new EventFeed(openTenantDoor(database), log);
  const say = (message: FromApiThread): void => port.postMessage(message);
  const remote = new RemoteDesk((id, question) => say({ type: 'ask', id, question }));
  const http = await buildHttp({
    log,
    corsOrigins: data.corsOrigins,
    // The main thread passes requests on, and is believed whose they are.
    trustedProxies: data.trustedProxies + 1,
    // Declared for the document; the main thread answers for the server.
    health: {
      readiness: () => ({ api: true }),
      metrics: () => Promise.resolve({ contentType: 'text/plain', text: '' }),
    },
    api: apiDependencies(data.settings, { database, feed, desk: remote.desk }),
  });
  const close = async (): Promise<void> => {
    await http.close();
    await database.close();
    // Nothing keeps the thread any more.
    port.close();
  };
  const fail = (err: unknown): never => {
    log.error({ err }, 'the API could not be closed');
    process.exit(1);
  };
  port.on('message', (message: ToApiThread) => {
    if (message.type === 'answer') remote.answer(message.id, message.value);
    else if (message.type === 'fault') remote.fail(message.id, message.fault);
    else if (message.type === 'wake') feed.wake(message.orgIds);
    else close().catch(fail);
  });
  await http.listen({ path: data.socketPath });
  say({ type: 'listening' });
}
