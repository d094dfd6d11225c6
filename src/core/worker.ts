import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

/**
 * Starts the worker thread whose file is `name` (without extension) beside the module `importerUrl`.
 * Built code starts the `.js` file. Under vitest, where the importer itself is `.ts`, the thread gets tsx, since Node 20
 * cannot run TypeScript; it is registered by a module that calls its `register`, because `--import tsx` does nothing in a
 * worker thread there.
 */
export function startWorker(importerUrl: string, name: string, workerData?: unknown): Worker {
  const fromSource = importerUrl.endsWith('.ts');
  const url = new URL(`${name}${fromSource ? '.ts' : '.js'}`, importerUrl);
  if (!fromSource) return new Worker(url, { workerData });
  const tsx = createRequire(importerUrl).resolve('tsx/package.json');
  const api = new URL('./dist/esm/api/index.mjs', pathToFileURL(tsx)).href;
  const register = `import { register } from ${JSON.stringify(api)}; register();`;
  return new Worker(url, {
    workerData,
    execArgv: ['--import', `data:text/javascript,${encodeURIComponent(register)}`],
  });
}
