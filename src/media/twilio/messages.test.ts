import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BvraiError } from '../../core/errors.ts';
import { MAX_PAYLOAD_BYTES, TwilioReader, TwilioWriter } from './messages.ts';
import type { TwilioMessage } from './messages.ts';

const SID = `MZ${'a1b2'.repeat(8)}`;

/** As Twilio writes it, byte for byte. */
function twilioMedia(
  payload: string,
  options: { chunk?: string; timestamp?: string; streamSid?: string } = {},
): string {
  const { chunk = '2', timestamp = '5', streamSid = SID } = options;
  return (
    `{"event":"media","sequenceNumber":"4","media":{"track":"inbound","chunk":"${chunk}","timestamp":"${timestamp}",` +
    `"payload":"${payload}"},"streamSid":"${streamSid}"}`
  );
}

/** What a read gives, with the payload copied: data that can be compared. */
function outcome(reader: TwilioReader, text: string): unknown {
  try {
    const message = reader.read(text);
    return message.type === 'media' ? { ...message, payload: Array.from(message.payload) } : message;
  } catch (thrown) {
    if (!(thrown instanceof BvraiError)) throw thrown;
    return { code: thrown.code };
  }
}

const start = (changes: Record<string, unknown> = {}) => ({
  event: 'start',
  sequenceNumber: '1',
  start: {
    accountSid: 'AC1',
    streamSid: SID,
    callSid: 'CA1',
    tracks: ['inbound'],
    mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 },
    customParameters: { token: 't', agent: 'a' },
    ...changes,
  },
  streamSid: SID,
});

describe('reading', () => {
  it('reads every message of the wire', () => {
    const reader = new TwilioReader();
    const read = (message: unknown): TwilioMessage => reader.read(JSON.stringify(message));
    expect(read({ event: 'connected', protocol: 'Call', version: '1.0.0' })).toEqual({ type: 'connected' });
    expect(read(start())).toEqual({
      type: 'start',
      info: { streamSid: SID, callSid: 'CA1', accountSid: 'AC1', customParameters: { token: 't', agent: 'a' } },
    });
    expect(
      read({ event: 'dtmf', streamSid: SID, sequenceNumber: '5', dtmf: { track: 'inbound_track', digit: '1' } }),
    ).toEqual({
      type: 'dtmf',
      streamSid: SID,
      digit: '1',
    });
    expect(read({ event: 'mark', sequenceNumber: '4', streamSid: SID, mark: { name: 'my label' } })).toEqual({
      type: 'mark',
      streamSid: SID,
      name: 'my label',
    });
    expect(
      read({ event: 'stop', sequenceNumber: '5', stop: { accountSid: 'AC1', callSid: 'CA1' }, streamSid: SID }),
    ).toEqual({
      type: 'stop',
      streamSid: SID,
    });
    expect(read({ event: 'weather', streamSid: SID })).toEqual({ type: 'unknown', event: 'weather' });
    expect(outcome(reader, twilioMedia('no+Jho8='))).toEqual({
      type: 'media',
      streamSid: SID,
      track: 'inbound',
      chunk: 2,
      timestampMs: 5,
      payload: [0x9e, 0x8f, 0x89, 0x86, 0x8f],
    });
  });

  it('reads media in any order of keys, with numbers for strings, escapes, and without a clock', () => {
    const reader = new TwilioReader();
    const payload = Buffer.from([0xff, 0xff, 0xff]).toString('base64');
    const expected = {
      type: 'media',
      streamSid: SID,
      track: 'inbound',
      chunk: 7,
      timestampMs: 20,
      payload: [255, 255, 255],
    };
    expect(
      outcome(
        reader,
        `{"streamSid":"${SID}","media":{"payload":"\\/\\/\\/\\/","timestamp":20,"chunk":7},"event":"media"}`,
      ),
    ).toEqual(expected);
    expect(outcome(reader, twilioMedia(payload, { chunk: '7', timestamp: '20' }))).toEqual(expected);
    const bare = JSON.stringify({ event: 'media', streamSid: SID, media: { payload } });
    expect(outcome(reader, bare)).toEqual({ ...expected, chunk: -1, timestampMs: -1 });
    const outbound = { event: 'media', streamSid: SID, media: { track: 'outbound', payload } };
    expect(outcome(reader, JSON.stringify(outbound))).toMatchObject({ track: 'outbound' });
  });

  it('takes a full second of audio and not a byte more', () => {
    const reader = new TwilioReader();
    const base64 = (byteLength: number) => Buffer.alloc(byteLength, 7).toString('base64');
    const most = reader.read(twilioMedia(base64(MAX_PAYLOAD_BYTES)));
    expect(most.type === 'media' && most.payload.length).toBe(MAX_PAYLOAD_BYTES);
    for (const extra of [1, 2, 3, 100, 30_000]) {
      expect(outcome(reader, twilioMedia(base64(MAX_PAYLOAD_BYTES + extra)))).toEqual({ code: 'wire.limit' });
    }
    expect(outcome(reader, twilioMedia(base64(1024 * 1024)))).toEqual({ code: 'wire.limit' });
  });

  it.each([
    ['nothing', ''],
    ['no JSON', '{"event":"media"'],
    ['a number', '42'],
    ['null', 'null'],
    ['an array', '[]'],
    ['no event', '{}'],
    ['an event that is no string', '{"event":1}'],
    ['100,000 brackets', '['.repeat(60_000)],
    ['media without media', `{"event":"media","streamSid":"${SID}"}`],
    ['media that is null', `{"event":"media","streamSid":"${SID}","media":null}`],
    ['media without a stream', '{"event":"media","media":{"payload":"AAAA"}}'],
    ['media without a payload', `{"event":"media","streamSid":"${SID}","media":{"chunk":"1"}}`],
    [
      'media of an unknown track',
      `{"event":"media","streamSid":"${SID}","media":{"track":"sideways","payload":"AAAA"}}`,
    ],
    ['an empty payload', twilioMedia('')],
    ['a payload with a space', twilioMedia('AA A')],
    ['a payload with a line break', `{"event":"media","streamSid":"${SID}","media":{"payload":"AAAA\\nAAA"}}`],
    ['a payload of the URL alphabet', twilioMedia('A-_A')],
    ['a payload without padding', twilioMedia('AAA')],
    ['a payload with padding inside', twilioMedia('A=AA')],
    ['a payload of padding', twilioMedia('====')],
    ['a payload with a foreign letter', twilioMedia('AAÄA')],
    ['a payload that is no string', `{"event":"media","streamSid":"${SID}","media":{"payload":7}}`],
    ['a negative chunk', twilioMedia('AAAA', { chunk: '-1' })],
    ['a chunk of words', twilioMedia('AAAA', { chunk: 'two' })],
    ['a timestamp with a fraction', twilioMedia('AAAA', { timestamp: '1.5' })],
    ['an endless timestamp', twilioMedia('AAAA', { timestamp: '9'.repeat(400) })],
    ['a start without start', `{"event":"start","streamSid":"${SID}"}`],
    ['a start without callSid', JSON.stringify(start({ callSid: undefined }))],
    ['a start for two streams', JSON.stringify(start({ streamSid: 'MZother' }))],
    ['a start with a parameter that is no string', JSON.stringify(start({ customParameters: { a: 1 } }))],
    ['a start without mediaFormat', JSON.stringify(start({ mediaFormat: undefined }))],
    ['a mark without a name', `{"event":"mark","streamSid":"${SID}","mark":{}}`],
    ['a mark without a stream', '{"event":"mark","mark":{"name":"x"}}'],
    ['a digit that is none', `{"event":"dtmf","streamSid":"${SID}","dtmf":{"digit":"12"}}`],
    ['a stop without a stream', '{"event":"stop"}'],
  ])('refuses %s', (_what, text) => {
    expect(outcome(new TwilioReader(), text)).toEqual({ code: 'wire.malformed' });
  });

  it('refuses a frame over 64 KiB unread', () => {
    expect(outcome(new TwilioReader(), ' '.repeat(64 * 1024 + 1))).toEqual({ code: 'wire.limit' });
  });

  it.each([
    { encoding: 'audio/opus', sampleRate: 8000, channels: 1 },
    { encoding: 'audio/x-mulaw', sampleRate: 16_000, channels: 1 },
    { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 2 },
  ])('refuses the audio format $encoding, $sampleRate Hz, $channels', (mediaFormat) => {
    const read = () => new TwilioReader().read(JSON.stringify(start({ mediaFormat })));
    expect(read).toThrow(expect.objectContaining({ code: 'wire.unsupported' }));
    expect(read).toThrow(`${mediaFormat.encoding} at ${mediaFormat.sampleRate} Hz with ${mediaFormat.channels}`);
  });

  it('is not fooled by a parameter that is called like a part of every object', () => {
    const text = JSON.stringify(start()).replace('"token":"t"', '"__proto__":"x","constructor":"y"');
    const message = new TwilioReader().read(text);
    if (message.type !== 'start') throw new Error('no start');
    expect(Object.getPrototypeOf(message.info.customParameters)).not.toBe('x');
    expect(message.info.customParameters['constructor']).toBe('y');
  });

  it('never throws anything but its own error, whatever comes', () => {
    const reader = new TwilioReader();
    const eventName = fc.constantFrom('connected', 'start', 'media', 'mark', 'dtmf', 'stop', 'other');
    const message = fc.record(
      {
        event: eventName,
        streamSid: fc.anything(),
        media: fc.anything(),
        start: fc.anything(),
        mark: fc.anything(),
        dtmf: fc.anything(),
      },
      { requiredKeys: ['event'] },
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.json(),
      message.map((value) =>
        JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? String(part) : part)),
      ),
    );
    fc.assert(
      fc.property(text, (input) => {
        // `outcome` throws on what is no BvraiError.
        expect(outcome(reader, input)).toBeDefined();
      }),
      { numRuns: 3000 },
    );
  });

  it('reads what Twilio writes exactly as a JSON parser would, even when it is damaged', () => {
    // One reader sees only Twilio's own bytes, the other the same message with a space in front, which the fast path leaves alone.
    const [fast, general] = [new TwilioReader(), new TwilioReader()];
    const damage = fc.record({ at: fc.nat(500), cut: fc.nat(3), insert: fc.string({ unit: 'binary', maxLength: 3 }) });
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.nat(),
        fc.nat(),
        fc.stringMatching(/^[A-Za-z0-9"\\ ,:{}]{1,40}$/),
        fc.option(damage),
        (payload, chunk, timestamp, streamSid, hurt) => {
          let text = twilioMedia(Buffer.from(payload).toString('base64'), {
            chunk: String(chunk),
            timestamp: String(timestamp),
            streamSid,
          });
          if (hurt) text = text.slice(0, hurt.at) + hurt.insert + text.slice(hurt.at + hurt.cut);
          expect(outcome(fast, text)).toEqual(outcome(general, ` ${text}`));
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('writing', () => {
  it('writes the three messages that Twilio takes', () => {
    const writer = new TwilioWriter(SID);
    expect(JSON.parse(writer.media(Uint8Array.of(0xff, 0x7f)))).toEqual({
      event: 'media',
      streamSid: SID,
      media: { payload: '/38=' },
    });
    expect(JSON.parse(writer.mark('a "b"\n'))).toEqual({ event: 'mark', streamSid: SID, mark: { name: 'a "b"\n' } });
    expect(JSON.parse(writer.clear())).toEqual({ event: 'clear', streamSid: SID });
  });

  it('writes what reading gives back, for any audio, stream and name', () => {
    const reader = new TwilioReader();
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 50 }),
        fc.uint8Array({ minLength: 1, maxLength: 2000 }),
        fc.string(),
        (streamSid, audio, name) => {
          const writer = new TwilioWriter(streamSid);
          // A view into a larger buffer must be written from its own offset.
          const view = new Uint8Array(Buffer.concat([Buffer.from('head'), audio])).subarray(4);
          expect(outcome(reader, writer.media(view))).toMatchObject({
            type: 'media',
            streamSid,
            payload: Array.from(audio),
          });
          expect(reader.read(writer.mark(name))).toEqual({ type: 'mark', streamSid, name });
        },
      ),
    );
  });
});
