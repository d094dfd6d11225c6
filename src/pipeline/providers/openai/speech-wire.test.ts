import { describe, expect, it } from 'vitest';
import { parseSpeechRefusal, speechFormat, speechRequest } from './speech-wire.ts';

const ACCESS = { apiKey: 'k', baseUrl: 'https://api.openai.com/v1/' };

describe('the request', () => {
  it('asks for raw samples whatever the route says, and passes the vendor its own options', () => {
    const options = { instructions: 'Speak slowly.', speed: 0.9, response_format: 'mp3', stream_format: 'sse' };
    const { url, headers, body } = speechRequest(ACCESS, { language: 'en', voice: 'coral', options }, ' Hello. ');
    expect(url.href).toBe('https://api.openai.com/v1/audio/speech');
    expect(headers).toEqual({ authorization: 'Bearer k', 'content-type': 'application/json' });
    expect(JSON.parse(body)).toEqual({
      instructions: 'Speak slowly.',
      speed: 0.9,
      model: 'gpt-4o-mini-tts',
      voice: 'coral',
      input: 'Hello.',
      response_format: 'pcm',
    });
  });

  it('asks for Ogg Opus when the route says so', () => {
    const request = { language: 'en', options: { response_format: 'opus' } };
    expect(JSON.parse(speechRequest(ACCESS, request, 'Hello.').body)).toMatchObject({ response_format: 'opus' });
    expect(speechFormat(request)).toBe('opus');
    expect(speechFormat({ language: 'en', options: { response_format: 'mp3' } })).toBe('pcm');
  });

  it('does not go to an address that is none', () => {
    expect(() => speechRequest({ apiKey: 'k', baseUrl: 'openai' }, { language: 'en' }, 'x')).toThrow(/base URL/);
  });
});

describe('refusals', () => {
  it.each([
    [
      '{"error":{"message":"No.","type":"invalid_request_error","code":null}}',
      { code: 'invalid_request_error', message: 'No.' },
    ],
    [
      '{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}',
      { code: 'insufficient_quota', is: 'provider.no-credit' },
    ],
    ['{"error":"down"}', {}],
    ['<html>', {}],
  ])('%s', (body, error) => {
    expect(parseSpeechRefusal(body)).toMatchObject(error);
  });
});
