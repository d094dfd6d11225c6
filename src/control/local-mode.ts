/** Local mode: without Twilio's token nobody can be authenticated, so only this machine is served. */
import type { FastifyRequest } from 'fastify';

/** The facts of a request that tell whether it comes from this machine itself. */
export interface Peer {
  readonly remoteAddress: string;
  /** `name` in lower case. */
  readonly hasHeader: (name: string) => boolean;
}

/** The facts of an HTTP request. */
export function peerOf(request: FastifyRequest): Peer {
  return { remoteAddress: request.ip, hasHeader: (name) => request.headers[name] !== undefined };
}

/** A proxy or tunnel on this machine speaks for somebody else; these are what it adds. */
const FORWARDING_HEADERS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'cf-connecting-ip'];

/** Whether the request comes from this machine, and not through a tunnel that ends here. */
export function isLocalPeer({ remoteAddress, hasHeader }: Peer): boolean {
  const loopback = /^(127\.|::1$|::ffff:127\.)/u.test(remoteAddress);
  return loopback && !FORWARDING_HEADERS.some(hasHeader);
}

/** What a caller from elsewhere is told. */
export const LOCAL_MODE_REFUSAL =
  'This server runs in local mode (TWILIO_AUTH_TOKEN is not set) and serves only this machine. ' +
  'Set TWILIO_AUTH_TOKEN and PUBLIC_URL to take calls from Twilio.';
