/** The media listener on a port of its own: uWebSockets.js where it loads, `ws` otherwise. */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { BvraiError } from '../../core/errors.ts';
import type { MediaListener, MediaListenerOptions } from './socket.ts';
import { listenUws, loadUws } from './uws-listener.ts';
import type { UwsModule } from './uws-listener.ts';
import { attachWsListener } from './ws-listener.ts';

export interface ListenMediaOptions extends MediaListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** `uws` (the default) falls back to `ws` when the native module does not load, and logs why. */
  readonly prefer?: 'uws' | 'ws' | undefined;
  /** Where the native module comes from. */
  readonly load?: (() => Promise<UwsModule>) | undefined;
}

export interface PortMediaListener extends MediaListener {
  readonly port: number;
}

/** Slowloris (fault 47): the limits of a request that only asks for an upgrade. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;

/** Listens. Rejects with a BvraiError `config.invalid` when the port cannot be had. */
export async function listenMedia(options: ListenMediaOptions): Promise<PortMediaListener> {
  if (options.prefer !== 'ws') {
    const uws = await tryLoad(options);
    if (uws) return listenUws(uws, options, options);
  }
  return listenWs(options);
}

async function tryLoad(options: ListenMediaOptions): Promise<UwsModule | undefined> {
  try {
    return await (options.load ?? loadUws)();
  } catch (thrown) {
    const { message } = BvraiError.from(thrown, 'engine.unavailable');
    options.log.warn({ reason: message }, 'uWebSockets.js does not load here; the media port is served by ws');
    return undefined;
  }
}

async function listenWs(options: ListenMediaOptions): Promise<PortMediaListener> {
  const server = createServer({
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: 5000,
  });
  server.on('request', (_request, response) => {
    response
      .writeHead(404, { connection: 'close', 'content-type': 'text/plain' })
      .end('Only WebSockets are served here.\n');
  });
  const port = await listen(server, options);
  const sockets = attachWsListener(server, options);
  return {
    implementation: 'ws',
    port,
    get openSockets() {
      return sockets.openSockets;
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await sockets.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function listen(server: Server, options: ListenMediaOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(BvraiError.from(error, 'config.invalid', `The media port ${options.host}:${options.port} cannot be had`));
    });
    server.listen(options.port, options.host, () => {
      server.removeAllListeners('error');
      server.on('error', (error) => options.log.error({ error }, 'the media listener failed'));
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : options.port);
    });
  });
}
