/** Local mode: without Twilio's token nobody can be authenticated, so only this machine is served. */
import type { FastifyRequest } from 'fastify';

/** The facts of a request that tell whether it comes from this machine itself. */
export interface Peer {
  readonly remoteAddress: string;
  /** `name` in lower case. */
  readonly header: (name: string) => string | undefined;
}

/** The facts of an HTTP request. */
export function peerOf(request: FastifyRequest): Peer {
  const header = (name: string): string | undefined => {
    const value = request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };
  return { remoteAddress: request.ip, header };
}

/** A proxy or tunnel on this machine speaks for somebody else; these are what it adds. */
const FORWARDING_HEADERS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'cf-connecting-ip'];

/** Whether the request comes from this machine: not through a tunnel that ends here, and not from another site's page in a browser here. */
export function isLocalPeer({ remoteAddress, header }: Peer): boolean {
  const loopback = /^(127\.|::1$|::ffff:127\.)/u.test(remoteAddress);
  if (!loopback || FORWARDING_HEADERS.some((name) => header(name) !== undefined)) return false;
  const origin = header('origin');
  return origin === undefined || isLocalOrigin(origin);
}

/** Browsers say whose page sends a POST or opens a WebSocket, by the name that its visitor sees, whatever that resolves to. */
function isLocalOrigin(origin: string): boolean {
  if (!URL.canParse(origin)) return false;
  return /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/u.test(new URL(origin).hostname);
}

/** What a caller from elsewhere is told. */
export const LOCAL_MODE_REFUSAL =
  'This server runs in local mode (TWILIO_AUTH_TOKEN is not set) and serves only this machine. ' +
  'Set TWILIO_AUTH_TOKEN and PUBLIC_URL to take calls from Twilio.';
