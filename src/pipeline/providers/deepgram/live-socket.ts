/** What Deepgram's two live APIs have in common: how the vendor is reached, and that one message gives one part at most. */
import type { SocketAddress } from '../dial.ts';
import type { Sink, StreamContext, SttPart } from '../spec.ts';
import { SttSocket } from '../stt-socket.ts';
import type { VendorSettings } from '../socket.ts';
import { CLOSE_STREAM, PROVIDER, parseRefusal } from './wire.ts';
import type { DeepgramMessage } from './wire.ts';

/** Ten seconds of μ-law: far more than a connect may take, and proof that the vendor is not reading. */
const MAX_QUEUED_BYTES = 80_000;

/** What differs between the APIs. */
export interface LiveProtocol {
  readonly model: string | undefined;
  /** The address; throws a BvraiError when the base URL is none. */
  url(baseUrl: string): URL;
  /** Reads one text frame. Never throws. */
  parse(text: string): DeepgramMessage;
  onOpen(): void;
}

/** Where a live API is reached; throws a BvraiError when the base URL is none. */
export function liveAddress(settings: VendorSettings, url: (baseUrl: string) => URL): SocketAddress {
  return {
    provider: PROVIDER,
    url: url(settings.baseUrl ?? 'https://api.deepgram.com'),
    headers: { authorization: `Token ${settings.apiKey}` },
  };
}

/** Opens a socket that tells `stream-opened` and the parts that its messages give. */
export function openLiveSocket(
  settings: VendorSettings,
  protocol: LiveProtocol,
  sink: Sink<SttPart>,
  context: StreamContext,
): SttSocket {
  const socket = new SttSocket(
    {
      provider: PROVIDER,
      model: protocol.model,
      address: () => liveAddress(settings, (baseUrl) => protocol.url(baseUrl)),
      dialler: settings.dialler,
      connectTimeoutMs: settings.connectTimeoutMs,
      maxQueuedBytes: MAX_QUEUED_BYTES,
      farewell: CLOSE_STREAM,
      parseRefusal,
    },
    {
      onOpen: () => {
        protocol.onOpen();
        socket.tell({ type: 'stream-opened' });
      },
      onText: (text) => {
        const message = protocol.parse(text);
        switch (message.type) {
          case 'part':
            return socket.tell(message.part);
          case 'failed':
            return socket.fail(message.error);
          case 'ignored':
            return;
        }
      },
    },
    sink,
    context,
  );
  return socket;
}
