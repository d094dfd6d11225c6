/** The media stream's messages, from Twilio's side: strict about what the server sends, exact about what it gets. */

/** Twilio's warning codes that this phone can find cause for. */
export const WARNING_MALFORMED = 31924;
export const WARNING_TOO_SLOW = 31930;
export const WARNING_OVERFLOW = 31931;
export const WARNING_INVALID = 31951;

/** What a server may send; `invalid` carries what Twilio would complain about. */
export type ServerMessage =
  | { readonly event: 'media'; readonly audio: Uint8Array; readonly complaint?: string }
  | { readonly event: 'mark'; readonly name: string; readonly complaint?: string }
  | { readonly event: 'clear'; readonly complaint?: string }
  | { readonly event: 'invalid'; readonly code: number; readonly complaint: string };

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * Parses one message of the server. What Twilio would ignore becomes `invalid`; what it would take with a warning
 * (extra fields) comes with a `complaint`.
 */
export function parseServerMessage(text: string, streamSid: string): ServerMessage {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return { event: 'invalid', code: WARNING_MALFORMED, complaint: `not JSON: ${text.slice(0, 80)}` };
  }
  if (!isRecord(message)) return invalid('not an object');
  if (message['streamSid'] !== streamSid) return invalid(`wrong streamSid ${String(message['streamSid'])}`);
  switch (message['event']) {
    case 'media': {
      const media = message['media'];
      const payload = isRecord(media) ? media['payload'] : undefined;
      if (typeof payload !== 'string' || !BASE64.test(payload)) return invalid('media without a base64 payload');
      return { event: 'media', audio: Buffer.from(payload, 'base64'), ...extraFields(message, 'media', 'payload') };
    }
    case 'mark': {
      const mark = message['mark'];
      const name = isRecord(mark) ? mark['name'] : undefined;
      if (typeof name !== 'string') return invalid('mark without a name');
      return { event: 'mark', name, ...extraFields(message, 'mark', 'name') };
    }
    case 'clear':
      return { event: 'clear', ...extraFields(message, '', '') };
    default:
      return invalid(`unsupported event ${String(message['event'])}`);
  }
}

function invalid(complaint: string): ServerMessage {
  return { event: 'invalid', code: WARNING_INVALID, complaint };
}

function extraFields(message: Record<string, unknown>, body: string, field: string): { complaint?: string } {
  const inner = message[body];
  const extra = [
    ...Object.keys(message).filter((key) => key !== 'event' && key !== 'streamSid' && key !== body),
    ...(isRecord(inner) ? Object.keys(inner).filter((key) => key !== field) : []),
  ];
  return extra.length > 0 ? { complaint: `extra fields ${extra.join(', ')}` } : {};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Writes the messages of one stream, numbering them as Twilio does: strings, `start` being "1". */
export class StreamWriter {
  readonly #streamSid: string;
  #sequence = 0;
  #chunk = 0;

  constructor(streamSid: string) {
    this.#streamSid = streamSid;
  }

  connected(): string {
    return JSON.stringify({ event: 'connected', protocol: 'Call', version: '1.0.0' });
  }

  start(accountSid: string, callSid: string, customParameters: Readonly<Record<string, string>>): string {
    return this.#numbered('start', {
      start: {
        accountSid,
        streamSid: this.#streamSid,
        callSid,
        tracks: ['inbound'],
        mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 },
        customParameters,
      },
    });
  }

  /** `timestampMs` is the frame's place in the caller's time; it runs on where silence is not sent. */
  media(mulaw: Uint8Array, timestampMs: number): string {
    const payload = Buffer.from(mulaw.buffer, mulaw.byteOffset, mulaw.byteLength).toString('base64');
    const chunk = String(++this.#chunk);
    return this.#numbered('media', { media: { track: 'inbound', chunk, timestamp: String(timestampMs), payload } });
  }

  mark(name: string): string {
    return this.#numbered('mark', { mark: { name } });
  }

  dtmf(digit: string): string {
    return this.#numbered('dtmf', { dtmf: { track: 'inbound_track', digit } });
  }

  stop(accountSid: string, callSid: string): string {
    return this.#numbered('stop', { stop: { accountSid, callSid } });
  }

  #numbered(event: string, body: Record<string, unknown>): string {
    return JSON.stringify({ event, sequenceNumber: String(++this.#sequence), ...body, streamSid: this.#streamSid });
  }
}
