/** A client of the event streams, as a browser's EventSource is one: it keeps the last id and what it was told. */
import { z } from 'zod';

/** One event as it came over the wire. */
export interface FollowedEvent {
  readonly id: number;
  readonly type: string;
  readonly callId: string;
  readonly seq: number;
  /** When it arrived, on `performance.now()`. */
  readonly arrivedAtMs: number;
  readonly body: Readonly<Record<string, unknown>>;
}

const eventBody = z.looseObject({ call_id: z.string(), seq: z.number() });

export interface FollowOptions {
  readonly url: string;
  /** A token or key for Authorization. */
  readonly token: string;
  readonly lastEventId?: number | undefined;
  /** Called for each event as it arrives; what it throws ends the stream. */
  readonly onEvent?: (event: FollowedEvent) => void;
}

/** One connection to an event stream. */
export class EventFollower {
  readonly events: FollowedEvent[] = [];
  readonly comments: string[] = [];
  /** Messages without an id, such as `too-slow`: by name and data. */
  readonly notices: { readonly name: string; readonly data: string }[] = [];
  readonly contentType: string;
  /** Resolves when the stream is over: how. Never rejects. */
  readonly ended: Promise<'server-ended' | 'broken' | 'closed'>;
  readonly #abort: AbortController;
  readonly #onEvent: (event: FollowedEvent) => void;
  #pending = '';

  /** Connects. Throws when the answer is no stream, with its status. */
  static async connect({ url, token, lastEventId, onEvent }: FollowOptions): Promise<EventFollower> {
    const abort = new AbortController();
    const response = await fetch(url, {
      signal: abort.signal,
      headers: {
        accept: 'text/event-stream',
        authorization: `Bearer ${token}`,
        ...(lastEventId === undefined ? {} : { 'last-event-id': String(lastEventId) }),
      },
    });
    if (!response.ok || !response.body)
      throw new Error(`GET ${url} answered ${response.status}: ${await response.text()}`);
    return new EventFollower(response, abort, onEvent ?? (() => {}));
  }

  private constructor(response: Response, abort: AbortController, onEvent: (event: FollowedEvent) => void) {
    this.contentType = response.headers.get('content-type') ?? '';
    this.#abort = abort;
    this.#onEvent = onEvent;
    this.ended = this.#read(response).then(
      () => 'server-ended',
      () => (abort.signal.aborted ? 'closed' : 'broken'),
    );
  }

  /** What a client would send as Last-Event-ID; undefined: it has seen none. */
  get lastEventId(): number | undefined {
    return this.events.at(-1)?.id;
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.ended;
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      this.#pending += decoder.decode(chunk, { stream: true });
      const blocks = this.#pending.split('\n\n');
      this.#pending = blocks.pop() ?? '';
      for (const block of blocks) this.#take(block);
    }
  }

  #take(block: string): void {
    const fields = new Map<string, string>();
    for (const line of block.split('\n')) {
      const [, name = '', value = ''] = /^(\w*): ?(.*)$/u.exec(line) ?? [];
      if (name === '') this.comments.push(value);
      else fields.set(name, value);
    }
    const [id, type, data] = [fields.get('id'), fields.get('event'), fields.get('data')];
    if (type === undefined || data === undefined) return;
    if (id === undefined) {
      this.notices.push({ name: type, data });
      return;
    }
    const body = eventBody.parse(JSON.parse(data));
    const event = {
      id: Number(id),
      type,
      callId: body.call_id,
      seq: body.seq,
      arrivedAtMs: performance.now(),
      body,
    };
    this.events.push(event);
    this.#onEvent(event);
  }
}
