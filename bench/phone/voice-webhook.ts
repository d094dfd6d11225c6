/** Twilio's HTTP side: it asks the server's voice webhook what to do with a call and reads the TwiML that comes back. */
import { createHmac } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** Twilio waits this long for a webhook's answer. */
const WEBHOOK_TIMEOUT_MS = 15_000;
const MAX_TWIML_BYTES = 64 * 1024;

/** The call did not come about; the message says in plain words at which step and why. */
export class CallFailed extends Error {
  override readonly name: string = 'CallFailed';
}

/** The server answered the call with a refusal: a spoken sentence, a hang-up, or both. */
export class CallRefused extends CallFailed {
  override readonly name = 'CallRefused';
  /** What the caller would have heard; empty for a bare hang-up. */
  readonly spokenText: string;

  constructor(spokenText: string) {
    super(spokenText ? `the server refused the call: "${spokenText}"` : 'the server refused the call without a word');
    this.spokenText = spokenText;
  }
}

/** Where the media stream goes, as `<Connect><Stream>` says. */
export interface StreamTarget {
  readonly url: string;
  readonly customParameters: Readonly<Record<string, string>>;
}

/** X-Twilio-Signature: base64(HMAC-SHA1(token, url + every parameter's name and value, sorted by name)). */
export function twilioSignature(
  authToken: string,
  url: string,
  parameters: Readonly<Record<string, string>> = {},
): string {
  const sorted = Object.entries(parameters).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return createHmac('sha1', authToken)
    .update(url + sorted.map(([name, value]) => name + value).join(''))
    .digest('base64');
}

/**
 * Posts the voice webhook and returns the stream that the TwiML asks for.
 * `signedUrl` is the public URL that Twilio would sign; with `authToken` the request carries that signature.
 * Throws {@link CallFailed}, or {@link CallRefused} when the TwiML opens no stream.
 */
export async function askVoiceWebhook(options: {
  readonly url: URL;
  readonly signedUrl: string;
  readonly authToken: string | undefined;
  readonly parameters: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
}): Promise<StreamTarget> {
  const answer = await postForm(options);
  if (answer.status !== 200) {
    throw new CallFailed(
      `the voice webhook ${options.url.href} answered ${answer.status}: ${answer.body.slice(0, 300)}`,
    );
  }
  return parseTwiml(answer.body);
}

async function postForm(options: Parameters<typeof askVoiceWebhook>[0]): Promise<{ status: number; body: string }> {
  const body = new URLSearchParams(options.parameters).toString();
  const headers: Record<string, string | number> = {
    'content-type': 'application/x-www-form-urlencoded; charset=UTF-8',
    'content-length': Buffer.byteLength(body),
    'user-agent': 'TwilioProxy/1.1',
  };
  if (options.authToken) {
    headers['x-twilio-signature'] = twilioSignature(options.authToken, options.signedUrl, options.parameters);
  }
  const timeout = AbortSignal.timeout(WEBHOOK_TIMEOUT_MS);
  const signal = options.signal ? AbortSignal.any([timeout, options.signal]) : timeout;
  const send = options.url.protocol === 'https:' ? httpsRequest : httpRequest;
  try {
    return await new Promise((resolve, reject) => {
      // No agent: a pooled connection would outlive the call.
      const request = send(options.url, { method: 'POST', headers, agent: false, signal }, (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_TWIML_BYTES) request.destroy(new Error('the answer is larger than 64 KiB'));
          else chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
        );
      });
      request.on('error', reject);
      request.end(body);
    });
  } catch (error) {
    throw new CallFailed(`cannot reach ${options.url.href}: ${networkReason(error, timeout.aborted)}`, {
      cause: error,
    });
  }
}

function networkReason(error: unknown, timedOut: boolean): string {
  if (timedOut) return `no answer within ${WEBHOOK_TIMEOUT_MS / 1000} s`;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ECONNREFUSED') return 'connection refused. Is the server running (npm start)?';
  return error instanceof Error ? error.message : String(error);
}

/** Reads the stream out of TwiML; throws {@link CallRefused} with the spoken text when there is none. */
export function parseTwiml(twiml: string): StreamTarget {
  if (!/<Response[\s/>]/.test(twiml))
    throw new CallFailed(`the voice webhook's answer is not TwiML: ${twiml.slice(0, 300)}`);
  const connect = /<Connect\b[^>]*>([\s\S]*?)<\/Connect>/.exec(twiml)?.[1] ?? '';
  const stream = /<Stream\b([^>]*?)(?:\/>|>([\s\S]*?)<\/Stream>)/.exec(connect);
  if (!stream) {
    const says = [...twiml.matchAll(/<Say\b[^>]*>([\s\S]*?)<\/Say>/g)];
    throw new CallRefused(says.map((say) => unescapeXml(say[1] ?? '').trim()).join(' '));
  }
  const url = attribute(stream[1] ?? '', 'url');
  if (!url) throw new CallFailed('the TwiML has a <Stream> without a url');
  const customParameters: Record<string, string> = {};
  for (const [, attributes = ''] of (stream[2] ?? '').matchAll(/<Parameter\b([^>]*?)\/?>/g)) {
    const name = attribute(attributes, 'name');
    if (name) customParameters[name] = attribute(attributes, 'value') ?? '';
  }
  return { url, customParameters };
}

function attribute(attributes: string, name: string): string | undefined {
  const match = new RegExp(`\\b${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`).exec(attributes);
  const value = match?.[1] ?? match?.[2];
  return value === undefined ? undefined : unescapeXml(value);
}

const XML_ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

function unescapeXml(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex?: string, decimal?: string, name?: string) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal) return String.fromCodePoint(Number(decimal));
    return XML_ENTITIES[name ?? ''] ?? whole;
  });
}
