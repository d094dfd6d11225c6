import { createHmac } from 'node:crypto';
import webhooks from 'twilio/lib/webhooks/webhooks.js';
import { describe, expect, it } from 'vitest';
import { upgradeSignatureCheck } from './signature.ts';

const authToken = '12345';
/** What Twilio's documentation says: base64 of HMAC-SHA1 over the URL, there being no parameters. */
const sign = (url: string, key = authToken) => createHmac('sha1', key).update(url).digest('base64');

function check(publicUrl: string, url: string, signature: string | undefined): boolean {
  const headers = new Map([['host', 'evil.example.com']]);
  if (signature !== undefined) headers.set('x-twilio-signature', signature);
  const path = url.split('?', 1)[0] ?? '';
  return upgradeSignatureCheck({ authToken, publicUrl })({ url, path, headers, remoteAddress: '127.0.0.1' }).ok;
}

describe('upgradeSignatureCheck', () => {
  it("stands on functions that give the signature of Twilio's own example", () => {
    const parameters = {
      CallSid: 'CA1234567890ABCDE',
      Caller: '+14158675310',
      From: '+14158675310',
      Digits: '1234',
      To: '+18005551212',
    };
    const url = 'https://example.com/myapp.php?foo=1&bar=2';
    expect(webhooks.validateRequest(authToken, 'L/OH5YylLD5NRKLltdqwSvS0BnU=', url, parameters)).toBe(true);
    expect(
      webhooks.validateRequest(authToken, 'L/OH5YylLD5NRKLltdqwSvS0BnU=', url, { ...parameters, Digits: '1235' }),
    ).toBe(false);
  });

  it.each([
    'wss://voice.example.com/media',
    'wss://voice.example.com/media/',
    'wss://voice.example.com:443/media',
    'wss://voice.example.com:443/media/',
  ])('takes the signature of %s', (signed) => {
    expect(check('https://voice.example.com', '/media', sign(signed))).toBe(true);
    expect(check('https://voice.example.com/', '/media', sign(signed))).toBe(true);
  });

  it('takes a public origin with a port, and one without TLS', () => {
    expect(check('https://voice.example.com:8443', '/media', sign('wss://voice.example.com:8443/media'))).toBe(true);
    expect(check('https://voice.example.com:8443', '/media', sign('wss://voice.example.com/media'))).toBe(true);
    expect(check('http://localhost:8080', '/media', sign('ws://localhost:8080/media'))).toBe(true);
  });

  it('signs the query too', () => {
    expect(check('https://voice.example.com', '/media?a=1', sign('wss://voice.example.com/media?a=1'))).toBe(true);
    expect(check('https://voice.example.com', '/media?a=2', sign('wss://voice.example.com/media?a=1'))).toBe(false);
  });

  it.each([
    ['another key', sign('wss://voice.example.com/media', 'other')],
    ['another path', sign('wss://voice.example.com/other')],
    ['the host of the request', sign('wss://evil.example.com/media')],
    ['another scheme', sign('http://voice.example.com/media')],
    ['another port', sign('wss://voice.example.com:8080/media')],
    ['nothing at all', 'forged'],
  ])('refuses a signature over %s', (_what, signature) => {
    expect(check('https://voice.example.com', '/media', signature)).toBe(false);
  });

  it('lets an unsigned request pass: the token is the guard', () => {
    expect(check('https://voice.example.com', '/media', undefined)).toBe(true);
    expect(check('https://voice.example.com', '/media', '')).toBe(true);
  });

  it('says so at once when the public URL is none', () => {
    expect(() => upgradeSignatureCheck({ authToken, publicUrl: 'voice.example.com' })).toThrow(TypeError);
  });
});
