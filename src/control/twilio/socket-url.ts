/** Where media sockets are reached. */
import { BvraiError } from '../../core/errors.ts';

export const MEDIA_PATH = '/media';
/** Browser calls: the same protocol, without Twilio's signature. */
export const WEB_PATH = '/web';

/** The URL of one, for the far side of a request. Throws `bad-request` for a Host that is none. */
export function socketUrl({
  publicUrl,
  requestHost,
  mediaPort,
  path,
}: {
  readonly publicUrl: string | undefined;
  /** The request's Host. */
  readonly requestHost: string;
  /** Of media sockets that have a port of their own. */
  readonly mediaPort: number | undefined;
  readonly path: string;
}): string {
  if (publicUrl !== undefined) return `${publicUrl.replace(/^http/u, 'ws')}${path}`;
  if (mediaPort === undefined) return `ws://${requestHost}${path}`;
  const url = URL.canParse(`http://${requestHost}`) ? new URL(`http://${requestHost}`) : undefined;
  if (!url) throw new BvraiError('bad-request', 'The Host of this request is none: send the host that you have asked.');
  return `ws://${url.hostname}:${mediaPort}${path}`;
}
