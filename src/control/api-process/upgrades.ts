/** Connections that turn into WebSockets are calls: whatever they carried before, the main process has them. */
import type { IncomingMessage, Server } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Handover } from './handover.ts';

/** Gives every connection on which an upgrade is asked for to the main process, as it was before it was read. */
export function returnUpgrades(server: Server, handover: Handover): void {
  const answering = new WeakMap<Duplex, number>();
  server.on('request', ({ socket }, response) => {
    answering.set(socket, (answering.get(socket) ?? 0) + 1);
    response.once('close', () => answering.set(socket, (answering.get(socket) ?? 1) - 1));
  });
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on('error', () => stream.destroy());
    // An answer that is still owed would come from here, into the midst of the other's: no client asks so.
    const isClear = (answering.get(stream) ?? 0) === 0;
    if (!isClear || !(stream instanceof Socket) || !handover.offer(stream, Buffer.concat([headOf(request), head])))
      stream.destroy();
  });
}

/** The request's head as it was sent, but for space around values. */
function headOf({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2)
    lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`);
  // As Node reads them: a character is a byte.
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
