/** The check of Twilio's signature on the upgrade request of a media socket (docs/twilio-wire.md, "Signatures"). */
import webhooks from 'twilio/lib/webhooks/webhooks.js';
import type { UpgradeRequest, UpgradeVerdict } from '../socket/socket.ts';

export interface UpgradeSignatureOptions {
  readonly authToken: string;
  /** The origin that Twilio connects to, e.g. `https://voice.example.com`; never taken from the request's Host header. */
  readonly publicUrl: string;
}

const DEFAULT_PORTS: Readonly<Record<string, string>> = { 'wss:': '443', 'ws:': '80' };

/** A hook for `MediaRoute.authoriseUpgrade`. Throws a TypeError at once when `publicUrl` is no URL. */
export function upgradeSignatureCheck(options: UpgradeSignatureOptions): (request: UpgradeRequest) => UpgradeVerdict {
  const origin = socketOrigin(options.publicUrl);
  return (request) => {
    const signature = request.headers.get('x-twilio-signature');
    // It is not proven that Twilio signs every upgrade, and the stream token is the real guard. A wrong signature never passes.
    if (signature === undefined || signature === '') return { ok: true };
    // Given a URL with a port, the SDK tries it with and without (in constant time). For a wss URL without one it would add 80.
    const url = origin + request.url;
    const signed = [url, withSlash(url)].some((candidate) =>
      webhooks.validateRequest(options.authToken, signature, candidate, {}),
    );
    return signed ? { ok: true } : { ok: false, status: 403, reason: 'The signature does not fit the request.' };
  };
}

/** `https://host` → `wss://host:443`: the scheme Twilio signs with, always with a port. */
function socketOrigin(publicUrl: string): string {
  const url = new URL(publicUrl);
  const scheme = url.protocol === 'https:' || url.protocol === 'wss:' ? 'wss:' : 'ws:';
  return `${scheme}//${url.hostname}:${url.port || DEFAULT_PORTS[scheme]}`;
}

function withSlash(url: string): string {
  const queryAt = url.indexOf('?');
  return queryAt < 0 ? `${url}/` : `${url.slice(0, queryAt)}/${url.slice(queryAt)}`;
}
