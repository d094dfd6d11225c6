/** Decides which upgrade requests become sockets; the same for every implementation of the socket port. */
import type { Clock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { MediaListenerOptions, MediaRoute, UpgradeRequest } from './socket.ts';
import { DEFAULT_MAX_UNSTARTED_SOCKETS } from './socket.ts';

export type GateVerdict =
  | { readonly ok: true; readonly route: MediaRoute; readonly seat: Seat }
  | { readonly ok: false; readonly status: number; readonly reason: string };

/** A socket's place among those that have not started; given back once, by whichever comes first: start or close. */
export class Seat {
  #release: (() => void) | undefined;

  constructor(release: () => void) {
    this.#release = release;
  }

  release(): void {
    this.#release?.();
    this.#release = undefined;
  }
}

/** Refusals of one status are logged at most this often: a port scanner must not fill the disk. */
const REFUSAL_LOG_INTERVAL_MS = 10_000;

export class UpgradeGate {
  readonly #routes: ReadonlyMap<string, MediaRoute>;
  readonly #maxUnstarted: number;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #refusals = new Map<number, { loggedAtMs: number; unlogged: number }>();
  #unstarted = 0;
  #closed = false;

  constructor(options: MediaListenerOptions) {
    this.#routes = new Map(options.routes.map((route) => [route.path, route]));
    this.#maxUnstarted = options.maxUnstartedSockets ?? DEFAULT_MAX_UNSTARTED_SOCKETS;
    this.#log = options.log;
    this.#clock = options.clock;
  }

  /** From now on every request is answered 503. */
  close(): void {
    this.#closed = true;
  }

  decide(request: UpgradeRequest): GateVerdict {
    const verdict = this.#judge(request);
    if (!verdict.ok) this.#logRefusal(request, verdict.status, verdict.reason);
    return verdict;
  }

  #judge(request: UpgradeRequest): GateVerdict {
    const route = this.#routes.get(request.path) ?? this.#routes.get(request.path.replace(/\/$/, ''));
    if (!route) return { ok: false, status: 404, reason: 'No socket is served on this path.' };
    if (this.#closed) return { ok: false, status: 503, reason: 'This server is shutting down.' };
    if (this.#unstarted >= this.#maxUnstarted) {
      return { ok: false, status: 503, reason: 'Too many sockets are waiting to start.' };
    }
    try {
      const verdict = route.authoriseUpgrade?.(request) ?? { ok: true };
      if (!verdict.ok) return verdict;
    } catch (thrown) {
      this.#log.error({ error: BvraiError.from(thrown), path: request.path }, 'the upgrade check itself failed');
      return { ok: false, status: 500, reason: 'The upgrade could not be checked.' };
    }
    this.#unstarted++;
    return { ok: true, route, seat: new Seat(() => this.#unstarted--) };
  }

  #logRefusal(request: UpgradeRequest, status: number, reason: string): void {
    const nowMs = this.#clock.nowMs();
    const seen = this.#refusals.get(status);
    if (seen && nowMs - seen.loggedAtMs < REFUSAL_LOG_INTERVAL_MS) {
      seen.unlogged++;
      return;
    }
    this.#refusals.set(status, { loggedAtMs: nowMs, unlogged: 0 });
    const { remoteAddress } = request;
    const path = request.path.slice(0, 200);
    this.#log.warn({ status, reason, path, remoteAddress, alsoRefused: seen?.unlogged ?? 0 }, 'refused a media socket');
  }
}
