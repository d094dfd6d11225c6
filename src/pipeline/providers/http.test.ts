import { describe, expect, it } from 'vitest';
import { codeOfStatus, networkError, retryAfterMs, socketUrl, statusError } from './http.ts';

const headers = (values: Record<string, string>) => (name: string) => values[name];

describe('retryAfterMs', () => {
  it.each([
    [{ 'retry-after': '2' }, 2000],
    [{ 'retry-after': ' 1.5 ' }, 1500],
    [{ 'retry-after-ms': '250', 'retry-after': '1' }, 250],
    [{ 'retry-after': '999999999' }, 3_600_000],
    [{ 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }, undefined],
    [{ 'retry-after': '-1' }, undefined],
    [{}, undefined],
  ])('reads %j as %s', (values, expected) => {
    expect(retryAfterMs(headers(values))).toBe(expected);
  });
});

describe('codeOfStatus', () => {
  it.each([
    [401, 'provider.auth'],
    [402, 'provider.no-credit'],
    [403, 'provider.bad-request'],
    [404, 'provider.bad-request'],
    [408, 'provider.overloaded'],
    [429, 'provider.rate-limited'],
    [500, 'provider.overloaded'],
    [529, 'provider.overloaded'],
    [200, 'provider.protocol'],
    [302, 'provider.protocol'],
  ])('takes %i for %s', (status, code) => {
    expect(codeOfStatus(status)).toBe(code);
  });
});

describe('statusError', () => {
  it('keeps what the vendor says about a key to itself', () => {
    const error = statusError('v', 401, undefined, { code: 'bad_key', message: 'Incorrect key sk-1234' });
    expect(JSON.stringify([error.message, error.details])).not.toContain('sk-1234');
    expect(error).toMatchObject({
      code: 'provider.auth',
      retryable: false,
      details: { vendorCode: 'bad_key', status: 401 },
    });
  });
});

describe('networkError', () => {
  const coded = (code: string) => Object.assign(new Error('x'), { code });
  it.each([
    [coded('ECONNREFUSED'), 'provider.unavailable'],
    [coded('ENOTFOUND'), 'provider.unavailable'],
    [coded('ECONNRESET'), 'provider.closed'],
    [coded('UND_ERR_CONNECT_TIMEOUT'), 'provider.timeout-connect'],
    [coded('UND_ERR_INVALID_ARG'), 'provider.bad-request'],
    [coded('WS_ERR_INVALID_UTF8'), 'provider.protocol'],
    [coded('UND_ERR_RES_EXCEEDED_MAX_SIZE'), 'provider.protocol'],
    [new TypeError('terminated', { cause: coded('UND_ERR_SOCKET') }), 'provider.closed'],
    ['a string', 'provider.unavailable'],
  ])('takes %s for %s', (thrown, code) => {
    expect(networkError('v', thrown).code).toBe(code);
  });
});

describe('socketUrl', () => {
  it('derives ws from http, and keeps a path', () => {
    expect(socketUrl('v', 'https://host/base/', '/v1/x').href).toBe('wss://host/base/v1/x');
    expect(socketUrl('v', 'http://127.0.0.1:80', '/v1/x').href).toBe('ws://127.0.0.1/v1/x');
  });

  it.each(['', 'host', 'ftp://host', 'ws://host'])('refuses %j', (baseUrl) => {
    expect(() => socketUrl('v', baseUrl, '/')).toThrow(expect.objectContaining({ code: 'config.invalid' }));
  });
});
