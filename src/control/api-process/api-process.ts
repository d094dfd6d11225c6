/** The API as a process of its own: its start, its loss and its next start; and which connections and requests it gets. */
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { stepBack } from '../../core/process-priority.ts';
import { startProcess } from '../../core/worker.ts';
import type { ApiDesk } from '../calls/api-desk.ts';
import { adopt } from './connections.ts';
import { perform } from './desk.ts';
import { Forwarder, divert, isOfApi, refuseForNow } from './forward.ts';
import { Handover } from './handover.ts';
import type { HandoverOptions } from './handover.ts';
import { toFault } from './protocol.ts';
import type { ApiProcessData, FromApiProcess, ToApiProcess } from './protocol.ts';
import { relayErrors, relayLog } from './relayed-log.ts';

export interface ApiProcessOptions {
  readonly data: Omit<ApiProcessData, 'socketPath' | 'mainSocketPath'>;
  /** Of the calls of the process that this is made in. */
  readonly desk: ApiDesk;
  readonly log: Log;
  /** Default: the process of api.process.ts. */
  readonly startProcess?: () => ChildProcess;
  /** Has all others go before a process. Default: as the system can. */
  readonly stepBack?: (pid: number) => Promise<string>;
  readonly handover?: Pick<HandoverOptions, 'maxWaiting' | 'takeWithinMs'>;
}

const START_TIMEOUT_MS = 60_000;
/** Answers that are being given may take so long when it closes. */
const CLOSE_TIMEOUT_MS = 5_000;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** A process that has lived so long was not lost for a reason of its start. */
const SETTLED_MS = 60_000;
const MAX_WAKES = 100;

interface Running {
  readonly child: ChildProcess;
  readonly forwarder: Forwarder;
  readonly handover: Handover;
  /** On their way. */
  wakes: number;
  /** Resolves when it is gone, and its last words have been read. */
  readonly gone: Promise<void>;
}

/** Modes: starting, running, lost (then starting again after a pause), closed. */
export class ApiProcess {
  /** Where the server of `attach` is to listen, too, before there are connections. */
  readonly mainSocketPath: string;
  readonly #options: ApiProcessOptions;
  /** Only this user may enter it: whoever reaches a socket in it may say whose request it is. */
  readonly #directory: string;
  readonly #closing = new AbortController();
  #server: Server | undefined;
  #running: Running | undefined;
  #starts = 0;
  #restarting: Promise<void> = Promise.resolve();

  private constructor(options: ApiProcessOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
    this.mainSocketPath = join(directory, 'main.sock');
  }

  /** Resolves when it answers. Rejects with `config.invalid`, `db.…` or `internal` when it cannot, with nothing left of it. */
  static async start(options: ApiProcessOptions): Promise<ApiProcess> {
    const directory = await mkdtemp(join(tmpdir(), 'bvrai-api-')).catch((thrown: unknown) => {
      const what = `TMPDIR=${tmpdir()} cannot be written, where the sockets between the server and its API would be`;
      throw BvraiError.from(thrown, 'config.invalid', what);
    });
    const api = new ApiProcess(options, directory);
    try {
      await api.#start();
      return api;
    } catch (thrown) {
      await api.close();
      throw BvraiError.from(thrown, 'internal', 'The process of the API does not start');
    }
  }

  /** Names the main process's server: requests for the API on its connections are passed on, and connections that come back are its. */
  attach(server: Server): void {
    this.#server = server;
    divert(server, isOfApi, this.#forward);
  }

  /**
   * Takes charge of a connection whose first request is for `url`: gives it away if it is the API's, or has the main process's server serve it. That has
   * all connections of proxies: the next request on one could be the webhook of a call, which is not to wait for a process that steps back.
   */
  readonly route = (url: string | undefined, socket: Socket, first: Buffer): void => {
    const isToGo = url !== undefined && isOfApi(url) && this.#options.data.trustedProxies === 0;
    if (isToGo && this.#running?.handover.offer(socket, first) === true) return;
    this.#serve(socket, first);
  };

  /** New events of these organizations can be read now. A process that hangs is not told each time: once it goes on, it looks by itself. */
  wake(orgIds: readonly string[]): void {
    const running = this.#running;
    if (!running || running.wakes >= MAX_WAKES) return;
    running.wakes++;
    post(running.child, { type: 'wake', orgIds }, () => running.wakes--);
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

  /** Has the process answer; 503 while there is none, or it hangs. */
  readonly #forward = (request: IncomingMessage, response: ServerResponse): void => {
    if (this.#running?.handover.isTaking === true) this.#running.forwarder.forward(request, response);
    else refuseForNow(request, response);
  };

  readonly #serve = (socket: Socket, first: Uint8Array): void => {
    if (this.#server) adopt(this.#server, socket, first);
    else socket.destroy();
  };

  async #start(): Promise<void> {
    const { data, log, startProcess: launch = startApiProcess, handover: bounds } = this.#options;
    // Each start has a path of its own: the socket of a process that was lost is still there.
    const socketPath = join(this.#directory, `${this.#starts++}.sock`);
    const child = launch();
    const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const handover = new Handover({
      ...bounds,
      serve: this.#serve,
      send: (message, socket, onSent) => child.send(message satisfies ToApiProcess, socket, onSent),
    });
    relayLog(child.stdout, log);
    const complaints = relayErrors(child.stderr, log);
    child.on('error', (err) => log.error({ err }, 'the process of the API failed'));
    child.on('message', (message: FromApiProcess, socket) => this.#onMessage(child, handover, message, socket));
    post(child, { type: 'start', data: { ...data, socketPath, mainSocketPath: this.mainSocketPath } });
    try {
      await listening(child, this.#closing.signal);
    } catch (thrown) {
      child.kill('SIGKILL');
      await gone;
      const { code, message } = BvraiError.from(thrown);
      throw new BvraiError(code, [message, ...complaints].join(' '));
    }
    const startedAtMs = performance.now();
    const forwarder = new Forwarder({ socketPath, refuse: refuseForNow });
    const running: Running = { child, forwarder, handover, gone, wakes: 0 };
    child.once('exit', (exitCode, signal) =>
      this.#onExit(running, { exitCode, signal }, performance.now() - startedAtMs),
    );
    this.#running = running;
    // Not before it has started: on a busy machine it would not come to an end of that.
    const priority = child.pid !== undefined && (await (this.#options.stepBack ?? stepBack)(child.pid));
    log.info({ pid: child.pid, priority }, 'the API has a process of its own');
  }

  #onMessage(child: ChildProcess, handover: Handover, message: FromApiProcess, socket: unknown): void {
    if (message.type === 'taken') handover.taken(message.number);
    else if (message.type === 'connection') {
      post(child, { type: 'taken', number: message.number });
      // Undefined: its client has gone.
      if (socket instanceof Socket) this.#serve(socket, message.first);
    } else if (message.type === 'ask') {
      const { id, question } = message;
      perform(this.#options.desk, question).then(
        (value) => post(child, { type: 'answer', id, value }),
        (thrown: unknown) => post(child, { type: 'fault', id, fault: toFault(thrown) }),
      );
    }
  }

  #onExit(
    running: Running,
    how: { readonly exitCode: number | null; readonly signal: string | null },
    livedMs: number,
  ) {
    running.handover.close();
    if (this.#running !== running) return;
    this.#running = undefined;
    this.#options.log.error(how, 'the process of the API ended; another one is being started');
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
        return;
      } catch (thrown) {
        this.#options.log.error({ err: thrown }, 'the process of the API does not start; trying again');
      }
    }
  }
}

const startApiProcess = (): ChildProcess => startProcess(import.meta.url, './api.process');

/** A process that has gone says so by its 'exit'. */
function post(child: ChildProcess, message: ToApiProcess, onSent: () => void = () => {}): void {
  child.send(message, onSent);
}

function listening(child: ChildProcess, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new BvraiError('internal', `It did not listen within ${START_TIMEOUT_MS} ms.`)),
      START_TIMEOUT_MS,
    );
    const settle = (how: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      for (const [event, listener] of listeners) child.off(event, listener);
      how();
    };
    const onMessage = ({ type }: FromApiProcess): void => {
      if (type === 'listening') settle(resolve);
    };
    const onError = (error: Error): void => settle(() => reject(error));
    const onExit = (exitCode: number | null): void =>
      settle(() => reject(new BvraiError('internal', `It ended with code ${exitCode}.`)));
    const onAbort = (): void => settle(() => reject(new BvraiError('aborted', 'The server is stopping.')));
    const listeners = [
      ['message', onMessage],
      ['error', onError],
      ['exit', onExit],
    ] as const;
    for (const [event, listener] of listeners) child.on(event, listener);
    signal.addEventListener('abort', onAbort);
  });
}

async function end({ child, forwarder, handover, gone }: Running, log: Log): Promise<void> {
  handover.close();
  post(child, { type: 'close' });
  const timer = setTimeout(() => {
    log.warn({}, 'the API did not finish its answers in time');
    child.kill('SIGKILL');
  }, CLOSE_TIMEOUT_MS);
  await gone;
  clearTimeout(timer);
  await forwarder.close();
}
