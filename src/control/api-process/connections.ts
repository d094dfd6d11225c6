/** Connections that are read by one server and answered by another, in this process or the other one. */
import type { IncomingMessage, Server } from 'node:http';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Who is at the other end, of a request that is passed on over a Unix socket. */
export const PEER_HEADER = 'x-bvrai-peer';

const adopted = new WeakSet<Duplex>();

/** Whether it is a client's own connection, and not the other process's. */
export const isAdopted = (socket: Duplex): boolean => adopted.has(socket);

/** Has `server` serve a connection that it did not accept itself, from `first` on, which was read of it already. */
export function adopt(server: Server, socket: Socket, first: Uint8Array): void {
  if (socket.destroyed) return;
  adopted.add(socket);
  // As of those that it accepts: a client that has said all may yet hear the answer.
  socket.allowHalfOpen = true;
  if (first.length > 0) socket.unshift(first);
  server.emit('connection', socket);
  socket.resume();
}

/**
 * Has a request that the other process passes on over the server's Unix socket look as if it had come from its client, so that all holds that holds
 * for direct ones. Only this user may enter the socket's directory; what a client says comes over a connection that was adopted, and is not taken.
 */
export function believePeer(server: Server, { socket, headers }: IncomingMessage): void {
  const said = headers[PEER_HEADER];
  delete headers[PEER_HEADER];
  if (isAdopted(socket) || typeof server.address() !== 'string') return;
  const value = typeof said === 'string' && isIP(said) > 0 ? said : undefined;
  // Such a socket has no address of its own, and one request at a time uses it.
  Object.defineProperty(socket, 'remoteAddress', { value, configurable: true });
}

/** What of a socket is the system's; none of Node's documented methods reaches it. */
interface Handle {
  reading: boolean;
  readStop(): number;
  close(): void;
}

/** A connection that this process no longer reads. */
export interface Detached {
  /** What had been read and not used. */
  readonly rest: Buffer;
  /** Closes it in this process, if that has not happened yet. */
  readonly close: () => void;
}

/**
 * Ends the reading of a connection, so that whoever gets it reads on where this process left off; undefined when it is gone. The caller gives it
 * away before anything else happens.
 */
export function detach(socket: Socket): Detached | undefined {
  // Node reads ahead, says nothing of that, and loses it when the socket goes to another process.
  const handle = Reflect.get(socket, '_handle') as Handle | null;
  if (socket.destroyed || handle === null) return undefined;
  const rest: unknown = socket.read();
  handle.reading = false;
  handle.readStop();
  // Or this process would count it as its server's for as long as the other has it.
  Reflect.set(socket, 'server', null);
  return { rest: Buffer.isBuffer(rest) ? rest : Buffer.alloc(0), close: () => handle.close() };
}
