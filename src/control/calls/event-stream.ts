/** One answer that is a stream of server-sent events: it lasts until the client, the call, the server or its rights end it. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { setTimeout as sleep } from 'node:timers/promises';
import { BvraiError } from '../../core/errors.ts';
import { principalOf } from '../auth/guard.ts';
import type { EventFeed, FeedEvent } from './feed.ts';

export interface EventStreamTimes {
  /** Proxies cut a connection that says nothing. */
  readonly heartbeatEveryMs: number;
  /** How often it is asked whether the client may still follow. */
  readonly recheckEveryMs: number;
  /** How long a client may take for what was written to it. */
  readonly slowAfterMs: number;
  /** A client that does not even read its last words within this time is disconnected. */
  readonly lastWordsMs: number;
}

export const EVENT_STREAM_TIMES: EventStreamTimes = {
  heartbeatEveryMs: 15_000,
  recheckEveryMs: 250,
  slowAfterMs: 10_000,
  lastWordsMs: 2_000,
};

/** Followers at the same time, over all organizations, and of one, so that none shuts the others out. */
const MAX_FOLLOWERS = 500;
const MAX_FOLLOWERS_OF_ONE = 100;

/** Why the server ends a stream, as its last event says: name and words. */
const TOO_SLOW = ['too-slow', 'You read too slowly; come back with Last-Event-ID.'] as const;
const ACCESS_ENDED = ['access-ended', 'Your key was revoked, or your session or rights have ended.'] as const;

export interface Following {
  /** One call; undefined: all of the organization. */
  readonly callId: string | undefined;
  /** Events behind this one. */
  readonly after: number;
}

/** All streams of this process. */
export class EventStreams {
  readonly #feed: EventFeed;
  readonly #times: EventStreamTimes;
  /** Each with its organization. */
  readonly #open = new Map<AbortController, string>();

  constructor(feed: EventFeed, times: EventStreamTimes = EVENT_STREAM_TIMES) {
    this.#feed = feed;
    this.#times = times;
  }

  /** Answers a request with a stream. Throws `capacity`. */
  begin(request: FastifyRequest, reply: FastifyReply, following: Following): FastifyReply {
    const { organizationId } = principalOf(request);
    const own = [...this.#open.values()].filter((each) => each === organizationId).length;
    if (this.#open.size >= MAX_FOLLOWERS || own >= MAX_FOLLOWERS_OF_ONE)
      throw new BvraiError('capacity', 'Too many followers at once; try again later.', { retryAfterMs: 10_000 });
    const scope = new AbortController();
    this.#open.set(scope, organizationId);
    const headers = Object.entries(reply.getHeaders()).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const],
    );
    reply.hijack();
    reply.raw.writeHead(200, {
      ...Object.fromEntries(headers),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    this.#serve(request, reply, following, scope)
      .catch((thrown: unknown) => request.log.error({ err: thrown }, 'following events failed'))
      .finally(() => this.#open.delete(scope));
    return reply;
  }

  /** Ends all of them. */
  close(): void {
    for (const scope of this.#open.keys()) scope.abort();
  }

  async #serve(
    request: FastifyRequest,
    { raw }: FastifyReply,
    { callId, after }: Following,
    scope: AbortController,
  ): Promise<void> {
    const { signal } = scope;
    const { heartbeatEveryMs, recheckEveryMs, slowAfterMs, lastWordsMs } = this.#times;
    raw.on('close', () => scope.abort());
    raw.on('error', () => scope.abort());
    // The client knows at once that it is heard.
    raw.write(': connected\n\n');
    const heartbeat = setInterval(() => raw.write(': still here\n\n'), heartbeatEveryMs);
    const end = ([name, detail]: readonly [string, string]): void => {
      if (signal.aborted) return;
      request.log.info({ reason: name }, 'a stream of events was ended');
      raw.write(`event: ${name}\ndata: ${JSON.stringify({ detail })}\n\n`);
      scope.abort();
    };
    const onEvents = async (events: readonly FeedEvent[]): Promise<void> => {
      if (raw.write(events.map(toText).join(''))) return;
      if (!(await drained(raw, slowAfterMs, signal))) end(TOO_SLOW);
    };
    const rechecking = recheck(request, recheckEveryMs, signal).then((allowed) => allowed || end(ACCESS_ENDED));
    try {
      await this.#feed.follow({ orgId: principalOf(request).organizationId, callId, after, signal, onEvents });
    } finally {
      clearInterval(heartbeat);
      scope.abort();
      await rechecking;
      const cut = setTimeout(() => raw.destroy(), lastWordsMs);
      raw.end(() => clearTimeout(cut));
      raw.once('close', () => clearTimeout(cut));
    }
  }
}

function toText({ id, type, body }: FeedEvent): string {
  return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(body)}\n\n`;
}

/** False: not within the time. */
function drained(raw: FastifyReply['raw'], withinMs: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isDrained: boolean) => (): void => {
      clearTimeout(timer);
      raw.off('drain', onDrain);
      signal.removeEventListener('abort', onAbort);
      resolve(isDrained);
    };
    const [onDrain, onAbort] = [settle(true), settle(true)];
    const timer = setTimeout(settle(false), withinMs);
    raw.once('drain', onDrain);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Asks again and again; false: the client is not allowed any more. True: the stream has ended before that. */
async function recheck({ stillAllowed }: FastifyRequest, everyMs: number, signal: AbortSignal): Promise<boolean> {
  for (;;) {
    await sleep(everyMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return true;
    if ((await stillAllowed?.()) === false) return false;
  }
}
