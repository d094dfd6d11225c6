/** What adapters are given in place of the real thing, to count what goes through it. */
import type * as Undici from 'undici';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock, Timer } from '../../src/core/clock.ts';
import { dialOnDemand } from '../../src/pipeline/providers/dial.ts';
import type { Dialler } from '../../src/pipeline/providers/dial.ts';
import { HttpConnections } from '../../src/pipeline/providers/http-connections.ts';
import type { LoadedHttp } from '../../src/pipeline/providers/http-connections.ts';

/** Real time, with the timers that are set counted. */
export class CountingClock implements Clock {
  pendingTimers = 0;

  nowMs(): number {
    return systemClock.nowMs();
  }

  after(delayMs: number, callback: () => void): Timer {
    this.pendingTimers++;
    let pending = true;
    const settle = (): void => {
      if (pending) this.pendingTimers--;
      pending = false;
    };
    const timer = systemClock.after(delayMs, () => {
      settle();
      callback();
    });
    return {
      cancel() {
        settle();
        timer.cancel();
      },
    };
  }
}

/** Tells of each message before the adapter is handed it, and of each socket that has closed. */
export function countingDialler(onMessage: () => void, onClose: () => void): Dialler {
  return {
    ...dialOnDemand,
    dial(address) {
      const dialled = dialOnDemand.dial(address);
      dialled.socket.on('message', onMessage).on('close', onClose);
      return dialled;
    },
  };
}

/** A machine that is busy with a hundred thousand messages is slow to connect. */
const PATIENT_MS = 10_000;

/** Tells of each piece of a body, as it comes from the network. Several that come together are one. */
export class CountingConnections extends HttpConnections {
  readonly #loading: Promise<LoadedHttp>;

  constructor(onPiece: () => void) {
    super(PATIENT_MS);
    this.#loading = super.loaded().then(({ undici, dispatcher }) => ({
      undici,
      dispatcher: dispatcher.compose((dispatch) => (options, handler) => {
        return dispatch(options, counted(handler, onPiece));
      }),
    }));
  }

  override loaded(): Promise<LoadedHttp> {
    return this.#loading;
  }
}

/** The handler, with a look at what it is called with. */
function counted(handler: Undici.Dispatcher.DispatchHandler, onPiece: () => void): Undici.Dispatcher.DispatchHandler {
  return new Proxy(handler, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return (...given: unknown[]): unknown => {
        if (name === 'onResponseData' || name === 'onData') onPiece();
        return Reflect.apply(member, target, given);
      };
    },
  });
}
