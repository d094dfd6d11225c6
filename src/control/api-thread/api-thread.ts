/** The API in a thread of its own: its start, its loss and its next start. Requests for it come through the main thread's server. */
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { startWorker } from '../../core/worker.ts';
import type { ApiDesk } from '../calls/api-desk.ts';
import { perform } from './desk.ts';
import { Forwarder, refuseForNow } from './forward.ts';
import { toFault } from './protocol.ts';
import type { ApiThreadData, FromApiThread, ToApiThread } from './protocol.ts';

export interface ApiThreadOptions {
  readonly data: Omit<ApiThreadData, 'socketPath'>;
  /** Of the calls of the thread that this is made in. */
  readonly desk: ApiDesk;
  readonly log: Log;
  /** Default: the thread of api.worker.ts. */
  readonly startThread?: (data: ApiThreadData) => Worker;
}

const START_TIMEOUT_MS = 30_000;
/** Answers that are being given may take so long when it closes. */
const CLOSE_TIMEOUT_MS = 5_000;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** A thread that has lived so long was not lost for a reason of its start. */
const SETTLED_MS = 60_000;

interface Running {
  readonly worker: Worker;
  readonly forwarder: Forwarder;
}

/** Modes: starting, running, lost (then starting again after a pause), closed. */
export class ApiThread {
  readonly #options: ApiThreadOptions;
  /** Only this user may enter it: whoever reaches the socket may say whose request it is. */
  readonly #directory: string;
  readonly #closing = new AbortController();
  #running: Running | undefined;
  #starts = 0;
  #restarting: Promise<void> = Promise.resolve();

  private constructor(options: ApiThreadOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
  }

  /** Resolves when it answers. Rejects with `db.…` or `internal` when it cannot, with nothing left of it. */
  static async start(options: ApiThreadOptions): Promise<ApiThread> {
    const thread = new ApiThread(options, await mkdtemp(join(tmpdir(), 'bvrai-api-')));
    try {
      await thread.#start();
      return thread;
    } catch (thrown) {
      await thread.close();
      throw BvraiError.from(thrown, 'internal', 'The thread of the API does not start');
    }
  }

  /** Has the thread answer; 503 while there is none. */
  readonly forward = (request: IncomingMessage, response: ServerResponse): void => {
    if (this.#running) this.#running.forwarder.forward(request, response);
    else refuseForNow(request, response);
  };

  /** New events of these organizations can be read now. */
  wake(orgIds: readonly string[]): void {
    if (this.#running) post(this.#running.worker, { type: 'wake', orgIds });
  }

  /** Lets it answer what it was asked, for some seconds. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#restarting;
    const running = this.#running;
    this.#running = undefined;
    if (running) await end(running, this.#options.log);
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    const { data, desk, log, startThread = startApiWorker } = this.#options;
    // Each start has a path of its own: the socket of a thread that was lost is still there.
    const socketPath = join(this.#directory, `${this.#starts++}.sock`);
    const worker = startThread({ ...data, socketPath });
    worker.on('message', (message: FromApiThread) => {
      if (message.type !== 'ask') return;
      const { id, question } = message;
      perform(desk, question).then(
        (value) => post(worker, { type: 'answer', id, value }),
        (thrown: unknown) => post(worker, { type: 'fault', id, fault: toFault(thrown) }),
      );
    });
    try {
      await listening(worker, this.#closing.signal);
    } catch (thrown) {
      await worker.terminate();
      throw thrown;
    }
    const startedAtMs = performance.now();
    worker.on('error', (err) => log.error({ err }, 'the thread of the API failed'));
    worker.once('exit', (exitCode) => this.#onExit(worker, exitCode, performance.now() - startedAtMs));
    this.#running = { worker, forwarder: new Forwarder({ socketPath, behindProxies: data.trustedProxies > 0 }) };
  }

  #onExit(worker: Worker, exitCode: number, livedMs: number): void {
    const running = this.#running;
    if (running?.worker !== worker) return;
    this.#running = undefined;
    this.#options.log.error({ exitCode }, 'the thread of the API ended; another one is being started');
    this.#restarting = this.#restart(running, livedMs < SETTLED_MS ? FIRST_RETRY_MS : 0);
  }

  /** Tries until there is one, or it is closed; never rejects. */
  async #restart({ forwarder }: Running, firstPauseMs: number): Promise<void> {
    const { signal } = this.#closing;
    await forwarder.close();
    for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(MAX_RETRY_MS, pauseMs * 2 || FIRST_RETRY_MS)) {
      await sleep(pauseMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#start();
        this.#options.log.info({}, 'the API has a thread again');
        return;
      } catch (thrown) {
        this.#options.log.error({ err: thrown }, 'the thread of the API does not start; trying again');
      }
    }
  }
}

const startApiWorker = (data: ApiThreadData): Worker => startWorker(import.meta.url, './api.worker', data);

function post(worker: Worker, message: ToApiThread): void {
  worker.postMessage(message);
}

function listening(worker: Worker, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new BvraiError('internal', `It did not listen within ${START_TIMEOUT_MS} ms.`)),
      START_TIMEOUT_MS,
    );
    const settle = (how: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      for (const [event, listener] of listeners) worker.off(event, listener);
      how();
    };
    const onMessage = ({ type }: FromApiThread): void => {
      if (type === 'listening') settle(resolve);
    };
    const onError = (error: Error): void => settle(() => reject(error));
    const onExit = (exitCode: number): void =>
      settle(() => reject(new BvraiError('internal', `It ended with code ${exitCode}.`)));
    const onAbort = (): void => settle(() => reject(new BvraiError('aborted', 'The server is stopping.')));
    const listeners = [
      ['message', onMessage],
      ['error', onError],
      ['exit', onExit],
    ] as const;
    for (const [event, listener] of listeners) worker.on(event, listener);
    signal.addEventListener('abort', onAbort);
  });
}

async function end({ worker, forwarder }: Running, log: Log): Promise<void> {
  const gone = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  post(worker, { type: 'close' });
  const timer = setTimeout(() => {
    log.warn({}, 'the API did not finish its answers in time');
    worker.terminate().catch((err: unknown) => log.error({ err }, 'the thread of the API could not be ended'));
  }, CLOSE_TIMEOUT_MS);
  await gone;
  clearTimeout(timer);
  await forwarder.close();
}
