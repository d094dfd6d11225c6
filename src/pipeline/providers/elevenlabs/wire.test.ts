import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addText, codeOfClose, keepAlive, multiStreamUrl, parseMessage, parseRefusal, spansOf } from './wire.ts';

describe('parseMessage', () => {
  it('reads audio with its alignment', () => {
    const text =
      '{"audio":"f39/","contextId":"t1","alignment":{"chars":["H","i"," ","y","o"],"charStartTimesMs":[0,40,80,100,140],"charDurationsMs":[40,40,20,40,60]},"normalizedAlignment":{}}';
    expect(parseMessage(text)).toEqual({
      type: 'audio',
      contextId: 't1',
      audio: Buffer.from([0x7f, 0x7f, 0x7f]),
      spans: [
        { text: 'Hi ', startMs: 0, durationMs: 100 },
        { text: 'yo', startMs: 100, durationMs: 100 },
      ],
      isFinal: false,
    });
  });

  it('reads the other spelling of times', () => {
    const text =
      '{"audio":"","contextId":"t1","alignment":{"chars":["H"],"charsStartTimesMs":[5],"charsDurationsMs":[40]}}';
    expect(parseMessage(text)).toMatchObject({ spans: [{ text: 'H', startMs: 5, durationMs: 40 }] });
  });

  it('lives without alignment, or with a broken one', () => {
    for (const alignment of ['null', '{}', '[]', '{"chars":[1]}', '{"chars":["a"],"charStartTimesMs":["x"]}']) {
      expect(parseMessage(`{"audio":"f39/","contextId":"t1","alignment":${alignment}}`)).toMatchObject({ spans: [] });
    }
  });

  it('reads the end of a context, in either case', () => {
    for (const text of ['{"isFinal":true,"contextId":"t1"}', '{"is_final":true,"context_id":"t1","audio":null}']) {
      expect(parseMessage(text)).toMatchObject({ type: 'audio', contextId: 't1', isFinal: true });
    }
  });

  it('passes over what it does not know, and audio of no context of ours', () => {
    expect(parseMessage('{"something":"new"}')).toEqual({ type: 'ignored' });
    expect(parseMessage('{"audio":"f39/"}')).toEqual({ type: 'ignored' });
  });

  it.each([
    ['{"error":"max_active_conversations","code":1008}', 'provider.overloaded', false],
    ['{"message":"…","error":"input_timeout_exceeded","code":1008}', 'provider.closed', true],
    ['{"error":"quota_exceeded","code":1008}', 'provider.no-credit', false],
    ['{"error":"invalid_api_key","code":1008}', 'provider.auth', false],
    ['{"error":"voice_access_denied","code":1008}', 'provider.bad-request', false],
    ['{"error":"voice_not_found","code":1008}', 'provider.bad-request', false],
    ['{"error":"too_many_concurrent_requests","code":1008}', 'provider.rate-limited', false],
    ['{"error":"something_new","code":1008}', 'provider.bad-request', false],
    ['{"error":"something_new"}', 'provider.protocol', false],
    ['not json', 'provider.protocol', false],
    ['{"audio":7,"contextId":"t1"}', 'provider.protocol', false],
  ])('reads the error %s', (text, code, idle) => {
    expect(parseMessage(text)).toMatchObject({ type: 'failed', contextId: undefined, idle, error: { code } });
  });

  it('knows whose error it is', () => {
    expect(parseMessage('{"error":"busy","contextId":"t1"}')).toMatchObject({ type: 'failed', contextId: 't1' });
  });
});

describe('spansOf', () => {
  it('keeps every character, in order', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'b', '.', ' ', '\n', 'é'), { maxLength: 40 }), (chars) => {
        const spans = spansOf({
          chars,
          charStartTimesMs: chars.map((_, index) => index * 10),
          charDurationsMs: chars.map(() => 10),
        });
        expect(spans.map(({ text }) => text).join('')).toBe(chars.join(''));
        for (const { text } of spans.slice(1)) expect(text).toMatch(/^\S+\s*$/);
        for (const { text } of spans.slice(0, -1)) expect(text).toMatch(/\s$/);
        expect(spans.reduce((sum, { durationMs }) => sum + durationMs, 0)).toBe(chars.length * 10);
      }),
    );
  });
});

describe('what is sent', () => {
  it('ends every text in a space', () => {
    expect(addText('c', 'Hi.')).toBe('{"text":"Hi. ","context_id":"c"}');
    expect(addText('c', 'Hi. ')).toBe('{"text":"Hi. ","context_id":"c"}');
  });

  it('keeps a context alive, or the socket', () => {
    expect(keepAlive('c')).toBe('{"text":"","context_id":"c"}');
    expect(keepAlive()).toBe('{"text":""}');
  });

  it('dials with what the audio path needs', () => {
    const request = {
      language: 'de-CH',
      voice: 'a/b',
      options: { output_format: 'mp3', apply_text_normalization: 'off' },
    };
    const url = multiStreamUrl('https://api.elevenlabs.io', request);
    expect(url.href).toMatch(/^wss:\/\/api\.elevenlabs\.io\/v1\/text-to-speech\/a%2Fb\/multi-stream-input\?/);
    expect(Object.fromEntries(url.searchParams)).toEqual({
      model_id: 'eleven_flash_v2_5',
      output_format: 'ulaw_8000',
      auto_mode: 'true',
      inactivity_timeout: '60',
      sync_alignment: 'true',
      language_code: 'de',
      apply_text_normalization: 'off',
    });
    const other = multiStreamUrl('https://x', { language: 'en', model: 'eleven_multilingual_v2' });
    expect(other.searchParams.has('language_code')).toBe(false);
  });
});

describe('refusals and closes', () => {
  it('reads the error body', () => {
    const body = '{"detail":{"status":"quota_exceeded","message":"No credit."}}';
    expect(parseRefusal(body)).toEqual({ code: 'quota_exceeded', message: 'No credit.', is: 'provider.no-credit' });
    expect(parseRefusal('{"detail":{"status":"voice_access_denied"}}')).toMatchObject({ is: 'provider.bad-request' });
    expect(parseRefusal('{"detail":"Not Found"}')).toEqual({ code: undefined, message: undefined });
    expect(parseRefusal('')).toEqual({});
  });

  it('takes a close for what its reason says', () => {
    expect(codeOfClose(1008, 'input_timeout_exceeded')).toBe('provider.closed');
    expect(codeOfClose(1008, 'Have not received a new text input within the timeout of 20 seconds.')).toBe(
      'provider.closed',
    );
    expect(codeOfClose(1008, 'quota_exceeded')).toBe('provider.no-credit');
    expect(codeOfClose(1008, '')).toBeUndefined();
    expect(codeOfClose(1011, '')).toBeUndefined();
  });
});
