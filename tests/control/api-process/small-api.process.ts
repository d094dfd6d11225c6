/** The API's process with the real server and the real sharing of connections, but routes of the tests' and no database. */
import { buildHttp } from '../../../src/control/http.ts';
import { SharedConnections } from '../../../src/control/api-process/shared-connections.ts';
import type { ToApiProcess } from '../../../src/control/api-process/protocol.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { addTestRoutes } from './test-routes.ts';

process.once('disconnect', () => process.exit(0));
process.on('message', (message: ToApiProcess) => {
  if (message.type !== 'start') return;
  serve(message).catch((thrown: unknown) => {
    console.error(thrown);
    process.exit(1);
  });
});

async function serve({ data }: Extract<ToApiProcess, { type: 'start' }>): Promise<void> {
  const { trustedProxies, socketPath, mainSocketPath } = data;
  const metrics = () => Promise.resolve({ contentType: 'text/plain', text: '' });
  const http = await buildHttp({ log: silentLogger(), trustedProxies, health: { readiness: () => ({}), metrics } });
  addTestRoutes(http, '/api', 'api');
  const connections = new SharedConnections(http.server, {
    mainSocketPath,
    say: (message, socket, onSent) => process.send?.(message, socket, undefined, onSent),
  });
  process.on('message', (message: ToApiProcess, socket) => {
    if (message.type === 'connection') connections.take(message, socket);
    else if (message.type === 'taken') connections.taken(message.number);
    else if (message.type === 'close') http.close(() => process.exit(0));
  });
  await http.listen({ path: socketPath });
  process.send?.({ type: 'listening' });
}
