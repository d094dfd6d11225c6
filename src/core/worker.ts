import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { WorkerOptions } from 'node:worker_threads';

/**
 * Starts the worker thread whose file is `name` (without extension) beside the module `importerUrl`.
 * Built code starts the `.js` file. Under vitest, where the importer itself is `.ts`, the worker thread
 * gets tsx's loader, since Node 20 cannot run TypeScript.
 */
export function startWorker(importerUrl: string, name: string, options: WorkerOptions = {}): Worker {
  const fromSource = importerUrl.endsWith('.ts');
  const url = new URL(`${name}${fromSource ? '.ts' : '.js'}`, importerUrl);
  if (!fromSource) return new Worker(url, options);
  const loader = pathToFileURL(createRequire(importerUrl).resolve('tsx')).href;
  return new Worker(url, { ...options, execArgv: ['--import', loader] });
}
