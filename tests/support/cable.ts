/** A TCP connection that can be torn: what lies between a phone and the server in the world outside. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

export class Cable {
  readonly port: number;
  readonly #server: Server;
  /** The caller's ends, and the ends towards the server. */
  readonly #near = new Set<Socket>();
  readonly #far = new Set<Socket>();

  private constructor(server: Server, targetPort: number) {
    const address: AddressInfo | string | null = server.address();
    this.port = typeof address === 'object' && address ? address.port : 0;
    this.#server = server;
    server.on('connection', (near) => {
      const far = connect(targetPort, '127.0.0.1');
      this.#keep(this.#near, near);
      this.#keep(this.#far, far);
      near.pipe(far);
      far.pipe(near);
      near.once('close', () => far.destroy());
      far.once('close', () => near.destroy());
    });
  }

  /** Lies ready on a free loopback port. */
  static async lay(targetPort: number): Promise<Cable> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Cable(server, targetPort);
  }

  /** Both sides learn by a reset that the other one is gone. */
  tear(): void {
    for (const socket of [...this.#far, ...this.#near]) socket.resetAndDestroy();
  }

  /** Bytes that the caller never sent reach the server. */
  disturb(bytes: Uint8Array): void {
    for (const socket of this.#far) socket.write(bytes);
  }

  async close(): Promise<void> {
    this.tear();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #keep(sockets: Set<Socket>, socket: Socket): void {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
  }
}
