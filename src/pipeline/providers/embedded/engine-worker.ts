import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

/**
 * As `startWorker` of src/core/worker.ts, but with tsx registered by a module that calls its `register`: on Node 20 its loader
 * does nothing in a worker thread when passed as `--import tsx`.
 */
export function startEngineWorker(importerUrl: string, name: string): Worker {
  const fromSource = importerUrl.endsWith('.ts');
  const url = new URL(`${name}${fromSource ? '.ts' : '.js'}`, importerUrl);
  if (!fromSource) return new Worker(url);
  const tsx = createRequire(importerUrl).resolve('tsx/package.json');
  const api = new URL('./dist/esm/api/index.mjs', pathToFileURL(tsx)).href;
  const register = `import { register } from ${JSON.stringify(api)}; register();`;
  return new Worker(url, { execArgv: ['--import', `data:text/javascript,${encodeURIComponent(register)}`] });
}
