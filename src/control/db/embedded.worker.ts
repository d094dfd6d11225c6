/** Worker thread of the embedded database: one PGlite, which answers one request after the other. */
import { parentPort } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import type { Results } from '@electric-sql/pglite';
import type { RawFault, RawResult, WorkerReply, WorkerRequest } from './embedded-protocol.ts';

const FAULT_FIELDS = ['code', 'severity', 'detail', 'hint', 'schema', 'table', 'column', 'constraint', 'routine'];

const port = parentPort;
if (port) {
  const reply = (message: WorkerReply): void => port.postMessage(message);
  let database: PGlite | undefined;

  const open = async (path: string | undefined): Promise<void> => {
    database = await PGlite.create(path === undefined ? {} : { dataDir: path });
    // Values stay the text that Postgres speaks: the main thread has the types, and functions cannot go between threads.
    const asTheyAre = new Proxy<PGlite['parsers']>({}, { get: () => (value: string) => value });
    database.parsers = asTheyAre;
    database.serializers = asTheyAre;
  };

  const perform = async (request: WorkerRequest): Promise<RawResult | undefined> => {
    if (request.type === 'open') {
      await open(request.path);
      return undefined;
    }
    if (!database) throw new Error('The embedded database is not open.');
    switch (request.type) {
      case 'query':
        return toRawResult(await database.query(request.text, [...request.values], { rowMode: 'array' }));
      case 'run':
        return toRawResult((await database.exec(request.text, { rowMode: 'array' })).at(-1));
      case 'listen':
        await database.listen(request.channel, (payload) =>
          reply({ type: 'notification', channel: request.channel, payload }),
        );
        return undefined;
      case 'close':
        await database.close();
        return undefined;
    }
  };

  let previous = Promise.resolve();
  port.on('message', (request: WorkerRequest) => {
    previous = previous.then(async () => {
      try {
        reply({ type: 'done', id: request.id, result: await perform(request) });
      } catch (thrown) {
        reply({ type: 'failed', id: request.id, fault: toRawFault(thrown) });
      }
    });
  });
}

function toRawResult(results: Results | undefined): RawResult | undefined {
  if (!results) return undefined;
  const { fields, rows, affectedRows = 0, command = '' } = results;
  // With rowMode 'array' and no parsers that is what the rows are; the types of PGlite do not follow its options.
  return { fields, rows: rows as unknown as RawResult['rows'], affectedRows, command };
}

function toRawFault(thrown: unknown): RawFault {
  if (!(thrown instanceof Error)) return { message: String(thrown), fields: {} };
  const fields = FAULT_FIELDS.flatMap((name): [string, string][] => {
    const value: unknown = Reflect.get(thrown, name);
    return typeof value === 'string' ? [[name, value]] : [];
  });
  return { message: thrown.message, fields: Object.fromEntries(fields) };
}
