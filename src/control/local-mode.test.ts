import { describe, expect, it } from 'vitest';
import { isLocalPeer } from './local-mode.ts';

const peer = (remoteAddress: string, headers: Readonly<Record<string, string>> = {}) =>
  isLocalPeer({ remoteAddress, header: (name) => headers[name] });

describe('whom local mode serves', () => {
  it.each(['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1'])('programs on this machine: %s', (address) =>
    expect(peer(address, { host: 'anything' })).toBe(true),
  );

  it.each(['http://localhost:8080', 'http://127.0.0.1:8080', 'https://[::1]', 'http://app.localhost:5173'])(
    'pages of this machine: %s',
    (origin) => expect(peer('127.0.0.1', { origin })).toBe(true),
  );

  it.each(['192.0.2.7', '::ffff:192.0.2.7', '1127.0.0.1', ''])('nobody elsewhere: %s', (address) =>
    expect(peer(address)).toBe(false),
  );

  it.each(['x-forwarded-for', 'forwarded', 'cf-connecting-ip'])('nobody through a tunnel: %s', (name) =>
    expect(peer('127.0.0.1', { [name]: '192.0.2.7' })).toBe(false),
  );

  // A page of another site reaches this machine through its visitor's browser, also under a name of its own (DNS rebinding).
  it.each([
    'https://evil.example',
    'http://evil.example:8080',
    'http://127.0.0.1.evil.example',
    'http://localhost.evil.example',
    'null',
    '',
  ])('no page from elsewhere in a browser here: %s', (origin) => expect(peer('127.0.0.1', { origin })).toBe(false));
});
