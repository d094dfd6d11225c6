import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

/**
 * Starts the worker thread whose file is `name` (without extension) beside the module `importerUrl`.
 * Built code starts the `.js` file. Under vitest, where the importer itself is `.ts`, the thread gets tsx, since Node 20
 * cannot run TypeScript; it is registered by a module that calls its `register`, because `--import tsx` does nothing in a
 * worker thread there.
 */
export function startWorker(importerUrl: string, name: string, workerData?: unknown): Worker {
  const { url, fromSource } = fileBeside(importerUrl, name);
  if (!fromSource) return new Worker(url, { workerData });
  const tsx = createRequire(importerUrl).resolve('tsx/package.json');
  const api = new URL('./dist/esm/api/index.mjs', pathToFileURL(tsx)).href;
  const register = `import { register } from ${JSON.stringify(api)}; register();`;
  return new Worker(url, {
    workerData,
    execArgv: ['--import', `data:text/javascript,${encodeURIComponent(register)}`],
  });
}

/**
 * Starts Node on such a file as a process, with a channel on which whatever can be cloned, and sockets, go to and fro. What it writes can be read
 * from its `stdout` and `stderr`.
 */
export function startProcess(importerUrl: string, name: string): ChildProcess {
  const { url, fromSource } = fileBeside(importerUrl, name);
  const tsx = (): string => pathToFileURL(createRequire(importerUrl).resolve('tsx')).href;
  const execArgv = fromSource ? [`--import=${tsx()}`] : [];
  const stdio = ['ignore' as const, 'pipe' as const, 'pipe' as const, 'ipc' as const];
  return fork(fileURLToPath(url), [], { execArgv, stdio, serialization: 'advanced' });
}

function fileBeside(importerUrl: string, name: string): { readonly url: URL; readonly fromSource: boolean } {
  const fromSource = importerUrl.endsWith('.ts');
  return { url: new URL(`${name}${fromSource ? '.ts' : '.js'}`, importerUrl), fromSource };
}
