/** Twilio's REST API as far as calls need it: creating and changing them, refusals, and silence. */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

/** One request, with its form. */
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
  /** Those that were served, oldest first. */
  readonly requests: readonly TwilioRequest[];
  /** What every request gets instead of service: `hang` no answer, `reset` a broken connection, `lose-answer` that after it was served. */
  fault: TwilioRefusal | 'hang' | 'reset' | 'lose-answer' | undefined;
  /** Requests that have come and wait for their answer. */
  readonly held: number;
  /** From now on requests wait for their answers; the result ends that and answers them. */
  hold(): () => void;
  close(): Promise<void>;
}

export async function startTwilioEmulator(): Promise<TwilioEmulator> {
  const requests: TwilioRequest[] = [];
  let waiting: (() => void)[] | undefined;
  const onRequest = (request: IncomingMessage, response: ServerResponse, body: string): void => {
    const { fault } = emulator;
    if (fault === 'hang') return;
    if (fault === 'reset') return void response.destroy();
    const form = new URLSearchParams(body);
    const [, account, sid] =
      /^\/2010-04-01\/Accounts\/(AC\w+)\/Calls(?:\/(CA\w+))?\.json$/u.exec(request.url ?? '') ?? [];
    const answer = (status: number, reply: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(reply));
    };
    if (fault && fault !== 'lose-answer') return answer(fault.status, { ...fault, more_info: '' });
    if (account === undefined || request.method !== 'POST') return answer(404, { code: 20404, message: 'not found' });
    if (sid === undefined && !/^\+[1-9]\d{4,14}$/u.test(form.get('To') ?? ''))
      return answer(400, { code: 21211, message: "The 'To' number is not a valid phone number." });
    const callSid = sid ?? `CA${randomBytes(16).toString('hex')}`;
    requests.push({
      path: request.url ?? '',
      authorization: request.headers.authorization ?? '',
      form,
      callSid,
    });
    if (fault === 'lose-answer') return void response.destroy();
    return answer(sid === undefined ? 201 : 200, {
      sid: callSid,
      status: sid === undefined ? 'queued' : 'in-progress',
    });
  };
  const server = createServer((request, response) => {
    text(request).then(
      (body) => {
        if (waiting) waiting.push(() => onRequest(request, response, body));
        else onRequest(request, response, body);
      },
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const emulator: TwilioEmulator = {
    url: `http://127.0.0.1:${port}`,
    requests,
    fault: undefined,
    get held() {
      return waiting?.length ?? 0;
    },
    hold() {
      const held = (waiting ??= []);
      return () => {
        waiting = undefined;
        for (const serve of held) serve();
      };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return emulator;
}
