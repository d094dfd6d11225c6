/** Where media sockets are reached. */

export const MEDIA_PATH = '/media';
/** Browser calls: the same protocol, without Twilio's signature. */
export const WEB_PATH = '/web';

/** The URL of one, for the far side of a request. */
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
  const host = mediaPort === undefined ? requestHost : `${new URL(`http://${requestHost}`).hostname}:${mediaPort}`;
  return `ws://${host}${path}`;
}
