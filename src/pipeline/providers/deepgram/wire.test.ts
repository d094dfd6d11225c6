import { describe, expect, it } from 'vitest';
import type { BvraiError } from '../../../core/errors.ts';
import { keyTerms, listenUrl, parseMessage, parseRefusal } from './wire.ts';

const RESULTS =
  '{"type":"Results","channel_index":[0,1],"duration":1.98,"start":0.0,"is_final":true,"speech_final":true,"from_finalize":false,"channel":{"alternatives":[{"transcript":"Hello there.","confidence":0.99,"words":[{"word":"hello","start":0.1,"end":0.4,"confidence":0.99,"punctuated_word":"Hello"}]}]},"metadata":{"request_id":"…","model_info":{"name":"general-nova-3","version":"…","arch":"nova-3"},"model_uuid":"…"}}';

function failure(text: string): BvraiError {
  const message = parseMessage(text);
  if (message.type !== 'failed') throw new Error(`not a failure: ${message.type}`);
  return message.error;
}

describe('parseMessage', () => {
  it('reads a final', () => {
    expect(parseMessage(RESULTS)).toEqual({
      type: 'part',
      part: {
        type: 'transcript-final',
        text: 'Hello there.',
        confidence: 0.99,
        words: [{ text: 'Hello', startMs: 100, endMs: 400, confidence: 0.99 }],
        speechFinal: true,
        fromFinalize: false,
      },
    });
  });

  it('reads an interim, and passes over an empty one', () => {
    const interim = RESULTS.replace('"is_final":true', '"is_final":false');
    expect(parseMessage(interim)).toEqual({
      type: 'part',
      part: { type: 'transcript-interim', text: 'Hello there.', confidence: 0.99 },
    });
    expect(parseMessage(interim.replace('Hello there.', '')).type).toBe('ignored');
  });

  it('keeps an empty final: the recogniser is done and heard no words', () => {
    const empty = '{"type":"Results","is_final":true,"channel":{"alternatives":[]}}';
    expect(parseMessage(empty)).toMatchObject({ part: { type: 'transcript-final', text: '', words: [] } });
  });

  it('reads the voice detector', () => {
    const started = '{"type":"SpeechStarted","channel":[0],"timestamp":1.2}';
    const ended = '{"type":"UtteranceEnd","channel":[0,1],"last_word_end":2.4}';
    expect(parseMessage(started)).toEqual({ type: 'part', part: { type: 'speech-started' } });
    expect(parseMessage(ended)).toEqual({ type: 'part', part: { type: 'utterance-ended' } });
  });

  it('passes over what it has no use for and what it does not know', () => {
    const metadata = '{"type":"Metadata","request_id":"…","sha256":"…","created":"…","duration":12.3,"channels":1}';
    expect(parseMessage(metadata)).toEqual({ type: 'ignored', name: 'Metadata' });
    expect(parseMessage('{"type":"Entirely new","x":1}')).toEqual({ type: 'ignored', name: 'Entirely new' });
    expect(parseMessage('{}').type).toBe('ignored');
  });

  it('reads an error', () => {
    const lost = failure('{"type":"Error","description":"No audio.","message":"NET-0001","variant":"TIMEOUT"}');
    expect(lost).toMatchObject({ code: 'provider.overloaded', details: { vendorCode: 'NET-0001' } });
    expect(lost.message).toContain('No audio.');
    expect(failure('{"type":"Error","message":"DATA-0000"}').code).toBe('provider.bad-request');
  });

  it.each(['', '{"type":"Res', '[]', 'null', '"Results"', '{"type":"Results"}', '{"type":"Results","is_final":"yes"}'])(
    'calls %j a breach of protocol',
    (text) => expect(failure(text).code).toBe('provider.protocol'),
  );
});

describe('listenUrl', () => {
  const request = { language: 'en', phrases: ['Zimmer frame', 'R&D'] };

  it('asks for what the audio path needs and the agent expects', () => {
    const url = listenUrl('https://api.deepgram.com', request);
    expect(url.protocol + url.host + url.pathname).toBe('wss:api.deepgram.com/v1/listen');
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      model: 'nova-3',
      language: 'en',
      encoding: 'mulaw',
      sample_rate: '8000',
      channels: '1',
      interim_results: 'true',
      endpointing: '300',
      utterance_end_ms: '1000',
      vad_events: 'true',
      smart_format: 'true',
    });
    expect(url.search).toContain('keyterm=Zimmer%20frame&keyterm=R%26D');
  });

  it('lets options change what is ours to choose, and nothing else', () => {
    const options = {
      endpointing: 100,
      smart_format: null,
      tag: ['a', 'b'],
      encoding: 'linear16',
      callback: 'https://evil',
    };
    const { searchParams } = listenUrl('http://127.0.0.1:9101/proxy/', { ...request, options });
    expect(searchParams.get('endpointing')).toBe('100');
    expect(searchParams.has('smart_format')).toBe(false);
    expect(searchParams.getAll('tag')).toEqual(['a', 'b']);
    expect(searchParams.get('encoding')).toBe('mulaw');
    expect(searchParams.has('callback')).toBe(false);
    expect(listenUrl('http://127.0.0.1:9101/proxy/', request).href).toMatch(
      /^ws:\/\/127\.0\.0\.1:9101\/proxy\/v1\/listen\?/,
    );
  });

  it('spares models that do not know key terms', () => {
    expect(listenUrl('https://x', { ...request, model: 'nova-2' }).searchParams.has('keyterm')).toBe(false);
  });
});

describe('keyTerms', () => {
  it('stays within the limits beyond which Deepgram falls silent', () => {
    const many = Array.from({ length: 500 }, (_, n) => `term ${n}`);
    expect(keyTerms(many)).toHaveLength(100);
    const long = keyTerms(Array.from({ length: 100 }, (_, n) => `${n}`.padEnd(50, 'x')));
    expect(long).toHaveLength(30);
    expect(keyTerms(['a', ' a ', '', 'b\n c', 'x'.repeat(61)])).toEqual(['a', 'b c']);
  });
});

describe('parseRefusal', () => {
  it('reads the error body, or does without', () => {
    expect(parseRefusal('{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials."}')).toEqual({
      code: 'INVALID_AUTH',
      message: 'Invalid credentials.',
    });
    expect(parseRefusal('<html>')).toEqual({ code: undefined, message: undefined });
  });
});
