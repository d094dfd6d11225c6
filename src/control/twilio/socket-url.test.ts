import { describe, expect, it } from 'vitest';
import { MEDIA_PATH, socketUrl } from './socket-url.ts';

describe('the URL of a media socket', () => {
  const of = (requestHost: string, publicUrl?: string, mediaPort?: number) =>
    socketUrl({ publicUrl, requestHost, mediaPort, path: MEDIA_PATH });

  it.each([
    ['voice.test:3000', 'https://voice.example', undefined, 'wss://voice.example/media'],
    ['voice.test:3000', 'http://voice.example', 9_000, 'ws://voice.example/media'],
    ['voice.test:3000', undefined, undefined, 'ws://voice.test:3000/media'],
    ['voice.test:3000', undefined, 9_000, 'ws://voice.test:9000/media'],
    ['[::1]:3000', undefined, 9_000, 'ws://[::1]:9000/media'],
  ])('for host %s, public URL %s, port %s', (host, publicUrl, port, url) => {
    expect(of(host, publicUrl, port)).toBe(url);
  });

  it.each(['[', '', 'a b'])('is refused for a Host that is none (%j)', (host) => {
    expect(() => of(host, undefined, 9_000)).toThrow(expect.objectContaining({ code: 'bad-request' }));
  });
});
