/** Twilio's REST API as far as calls need it: creating, queueing, changing and showing them, numbers, refusals, and silence. */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

/** One request that made or changed a call, with its form. */
export interface TwilioRequest {
  readonly path: string;
  readonly authorization: string;
  readonly form: URLSearchParams;
  /** The call that was made or changed. */
  readonly callSid: string;
}

/** A refusal in Twilio's words. */
export interface TwilioRefusal {
  readonly status: number;
  /** Of Twilio's error dictionary. */
  readonly code: number;
  readonly message: string;
}

export interface TwilioEmulator {
  readonly url: string;
  /** Those that made or changed a call, oldest first. */
  readonly requests: readonly TwilioRequest[];
  /** CallStatus of each call, by its sid: `queued`, then `ringing`, then what the test makes of it. */
  readonly calls: Map<string, string>;
  /**
   * How many calls a second leave the queue to ring, as an account may ring so many. 0: none, until {@link ringNext}. Default: each
   * rings at once.
   */
  callsPerSecond: number | undefined;
  /** The next call in the queue rings; its sid, or undefined when none waits. */
  ringNext(): string | undefined;
  /** The numbers of the account. Default: all that somebody asks for. */
  numbers: ReadonlySet<string> | undefined;
  /** What every request gets instead of service: `hang` no answer, `reset` a broken connection, `lose-answer` that after it was served. */
  fault: TwilioRefusal | 'hang' | 'reset' | 'lose-answer' | undefined;
  /** Requests that have come and wait for their answer. */
  readonly held: number;
  /** From now on requests wait for their answers; the result ends that and answers them. */
  hold(): () => void;
  close(): Promise<void>;
}

type Answer = readonly [status: number, body: object];

const NOT_FOUND: Answer = [404, { code: 20404, message: 'The requested resource was not found' }];

/** What the account holds, and what it answers. */
class Account {
  readonly requests: TwilioRequest[] = [];
  readonly calls = new Map<string, string>();
  callsPerSecond: number | undefined;
  numbers: ReadonlySet<string> | undefined;
  #pacing: NodeJS.Timeout | undefined;

  ringNext(): string | undefined {
    const [next] = [...this.calls].find(([, status]) => status === 'queued') ?? [];
    if (next !== undefined) this.calls.set(next, 'ringing');
    return next;
  }

  serve({ method, url, headers }: IncomingMessage, body: string): Answer {
    const { pathname, searchParams } = new URL(url ?? '', 'http://twilio');
    const [, resource, sid] = /^\/2010-04-01\/Accounts\/AC\w+\/(\w+)(?:\/(CA\w+))?\.json$/u.exec(pathname) ?? [];
    if (resource === 'IncomingPhoneNumbers' && method === 'GET')
      return this.#numbersLike(searchParams.get('PhoneNumber') ?? '');
    if (resource !== 'Calls') return NOT_FOUND;
    if (method === 'GET') {
      const status = this.calls.get(sid ?? '');
      return status === undefined ? NOT_FOUND : [200, { sid, status }];
    }
    const form = new URLSearchParams(body);
    const callSid = sid ?? `CA${randomBytes(16).toString('hex')}`;
    const answer = sid === undefined ? this.#dial(form, callSid) : this.#change(form, callSid);
    const { authorization = '' } = headers;
    if (answer[0] < 300) this.requests.push({ path: url ?? '', authorization, form, callSid });
    return answer;
  }

  protected endPacing(): void {
    clearInterval(this.#pacing);
  }

  #dial(form: URLSearchParams, callSid: string): Answer {
    if (!/^\+[1-9]\d{4,14}$/u.test(form.get('To') ?? ''))
      return [400, { code: 21211, message: "The 'To' number is not a valid phone number." }];
    this.calls.set(callSid, 'queued');
    if (this.callsPerSecond === undefined) this.ringNext();
    else if (this.callsPerSecond > 0) this.#pace(this.callsPerSecond);
    return [201, { sid: callSid, status: 'queued' }];
  }

  /** One by one, until the queue is empty. */
  #pace(callsPerSecond: number): void {
    this.#pacing ??= setInterval(() => {
      if (this.ringNext() !== undefined) return;
      clearInterval(this.#pacing);
      this.#pacing = undefined;
    }, 1_000 / callsPerSecond);
  }

  #change(form: URLSearchParams, callSid: string): Answer {
    const wanted = form.get('Status');
    const before = this.calls.get(callSid);
    const wasAnswered = before !== undefined && before !== 'queued' && before !== 'ringing';
    if (wanted !== null) this.calls.set(callSid, wanted === 'completed' && !wasAnswered ? 'canceled' : wanted);
    return [200, { sid: callSid, status: this.calls.get(callSid) ?? 'in-progress' }];
  }

  #numbersLike(wanted: string): Answer {
    // Twilio takes parts of numbers, too.
    const found = this.numbers ? [...this.numbers].filter((number) => number.includes(wanted)) : [wanted];
    return [200, { incoming_phone_numbers: found.map((number) => ({ phone_number: number })) }];
  }
}

class Emulator extends Account implements TwilioEmulator {
  readonly #server: Server;
  #waiting: (() => void)[] | undefined;
  fault: TwilioEmulator['fault'];

  constructor() {
    super();
    this.#server = createServer((request, response) => {
      text(request).then(
        (body) => {
          if (this.#waiting) this.#waiting.push(() => this.#answer(request, response, body));
          else this.#answer(request, response, body);
        },
        () => response.destroy(),
      );
    });
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  }

  get held(): number {
    return this.#waiting?.length ?? 0;
  }

  hold(): () => void {
    const held = (this.#waiting ??= []);
    return () => {
      this.#waiting = undefined;
      for (const serve of held) serve();
    };
  }

  close(): Promise<void> {
    this.endPacing();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse, body: string): void {
    const { fault } = this;
    if (fault === 'hang') return;
    if (fault === 'reset') return void response.destroy();
    const [status, reply] =
      fault && fault !== 'lose-answer' ? [fault.status, { ...fault, more_info: '' }] : this.serve(request, body);
    if (fault === 'lose-answer') return void response.destroy();
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(reply));
  }
}

export async function startTwilioEmulator(): Promise<TwilioEmulator> {
  const emulator = new Emulator();
  await emulator.listen();
  return emulator;
}
