/** How a phone gets its socket: through the server's voice webhook as Twilio does, or straight to a media URL. */
import { randomBytes } from 'node:crypto';
import { WebSocket } from 'ws';
import type { PhoneEvent } from './events.ts';
import { askVoiceWebhook, CallFailed, twilioSignature } from './voice-webhook.ts';

/** What every call may choose. */
export interface CallOptions {
  readonly callSid?: string;
  readonly accountSid?: string;
  /** Signs the webhook and the WebSocket upgrade as Twilio does. */
  readonly authToken?: string;
  /** False: marks never come back, as when a far side loses them. Default true. */
  readonly echoMarks?: boolean;
  /** False: nothing is sent while the caller is silent, as some carriers do. Default true. */
  readonly sendSilence?: boolean;
  /** The phone hangs up after this long. Default 30 minutes. */
  readonly maxCallMs?: number;
  /** Called for each event as it happens. */
  readonly onEvent?: (event: PhoneEvent) => void;
  /** Aborting it ends the call at any stage. */
  readonly signal?: AbortSignal;
}

/** A call through the server's voice webhook. */
export interface RingOptions extends CallOptions {
  /** Where the server listens, e.g. `http://127.0.0.1:8080`. */
  readonly serverUrl: string;
  /** Chooses the agent by name (local mode); without it the called number does. */
  readonly agent?: string;
  /** The webhook of a call that the server had Twilio ring, as it was told; from and to are then the server's. */
  readonly answers?: string;
  readonly from?: string;
  readonly to?: string;
  /** The origin that the server believes it has: signatures are made for it, and stream URLs on it go to `serverUrl`. */
  readonly publicUrl?: string;
  /** Connects here instead of where the TwiML says. */
  readonly streamUrlOverride?: string;
}

/** A call straight to a media socket, without a webhook. */
export interface DialOptions extends CallOptions {
  readonly streamUrl: string;
  readonly customParameters?: Readonly<Record<string, string>>;
  /** The URL that the upgrade request is signed for, if not `streamUrl`. */
  readonly signedUrl?: string;
}

const CONNECT_TIMEOUT_MS = 10_000;
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const DEFAULT_FROM = '+15550199';
const DEFAULT_TO = '+15550100';

/** A fresh identifier as Twilio makes them: two letters and 32 hex digits. */
export function newSid(prefix: 'AC' | 'CA' | 'MZ'): string {
  return prefix + randomBytes(16).toString('hex');
}

/** Calls the voice webhook and returns how to dial the stream that its TwiML asks for. Throws {@link CallFailed}. */
export async function ringWebhook(options: RingOptions): Promise<DialOptions> {
  const callSid = options.callSid ?? newSid('CA');
  const accountSid = options.accountSid ?? newSid('AC');
  const from = options.from ?? DEFAULT_FROM;
  const to = options.to ?? DEFAULT_TO;
  const path = webhookPath(options);
  const { url: streamUrl, customParameters } = await askVoiceWebhook({
    url: resolveUrl(path, options.serverUrl),
    signedUrl: resolveUrl(path, options.publicUrl ?? options.serverUrl).href,
    authToken: options.authToken,
    signal: options.signal,
    parameters: {
      AccountSid: accountSid,
      ApiVersion: '2010-04-01',
      CallSid: callSid,
      CallStatus: 'ringing',
      Called: to,
      Caller: from,
      Direction: options.answers === undefined ? 'inbound' : 'outbound-api',
      From: from,
      To: to,
    },
  });
  const reachableUrl = options.streamUrlOverride ?? reachableStreamUrl(streamUrl, options.publicUrl, options.serverUrl);
  return { ...options, callSid, accountSid, customParameters, streamUrl: reachableUrl, signedUrl: streamUrl };
}

function webhookPath({ answers, agent }: RingOptions): string {
  if (answers !== undefined) {
    const { pathname, search } = new URL(answers);
    return pathname + search;
  }
  return agent ? `/twilio/voice?agent=${encodeURIComponent(agent)}` : '/twilio/voice';
}

/** Opens the media socket. Throws {@link CallFailed}. */
export async function openSocket(options: DialOptions): Promise<WebSocket> {
  const headers: Record<string, string> = { 'user-agent': 'Twilio.TmeWs/1.0' };
  if (options.authToken)
    headers['x-twilio-signature'] = twilioSignature(options.authToken, options.signedUrl ?? options.streamUrl);
  let socket: WebSocket;
  try {
    socket = new WebSocket(options.streamUrl, {
      headers,
      perMessageDeflate: false,
      handshakeTimeout: CONNECT_TIMEOUT_MS,
      maxPayload: MAX_MESSAGE_BYTES,
    });
  } catch (error) {
    throw new CallFailed(`bad stream url ${options.streamUrl}`, { cause: error });
  }
  const giveUp = (): void => socket.terminate();
  options.signal?.addEventListener('abort', giveUp, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      // Stays for the socket's life: what goes wrong later is told by the close that follows every error.
      socket.on('error', reject);
    });
    return socket;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CallFailed(`cannot open the media stream ${options.streamUrl}: ${reason}`, { cause: error });
  } finally {
    options.signal?.removeEventListener('abort', giveUp);
  }
}

function resolveUrl(path: string, origin: string): URL {
  if (!URL.canParse(path, origin)) throw new CallFailed(`not a URL: ${origin} (example: http://127.0.0.1:8080)`);
  return new URL(path, origin);
}

/** A server that believes in a public origin names it in its TwiML; the stream is still reached where the server listens. */
function reachableStreamUrl(streamUrl: string, publicUrl: string | undefined, serverUrl: string): string {
  if (!publicUrl || !URL.canParse(streamUrl)) return streamUrl;
  const stream = new URL(streamUrl);
  if (stream.host !== new URL(publicUrl).host) return streamUrl;
  const server = new URL(serverUrl);
  return `${server.protocol === 'https:' ? 'wss' : 'ws'}://${server.host}${stream.pathname}`;
}
