import { describe, expect, it } from 'vitest';
import type { SttRequest } from '../spec.ts';
import { COMMIT, audioChunk, parseScribeMessage, scribeUrl } from './scribe-wire.ts';

const REQUEST: SttRequest = { language: 'en-GB', phrases: [] };

describe('scribeUrl', () => {
  it('asks for μ-law and commits of our own', () => {
    const url = scribeUrl('https://api.elevenlabs.io', REQUEST);
    expect(url.origin + url.pathname).toBe('wss://api.elevenlabs.io/v1/speech-to-text/realtime');
    expect(Object.fromEntries(url.searchParams)).toEqual({
      commit_strategy: 'manual',
      language_code: 'en',
      model_id: 'scribe_v2_realtime',
      audio_format: 'ulaw_8000',
    });
  });

  it('lets options add, replace and remove, but not change the audio', () => {
    const options = { commit_strategy: 'vad', language_code: null, keyterms: ['a b', 'c'], audio_format: 'pcm_16000' };
    const query = scribeUrl('http://127.0.0.1:1/', { ...REQUEST, model: 'other', options }).searchParams;
    expect(query.getAll('keyterms')).toEqual(['a b', 'c']);
    expect(query.get('commit_strategy')).toBe('vad');
    expect(query.get('language_code')).toBeNull();
    expect(query.get('audio_format')).toBe('ulaw_8000');
    expect(query.get('model_id')).toBe('other');
  });
});

describe('what we send', () => {
  it('carries just the bytes given, and commits without audio', () => {
    const audio = new Uint8Array([9, 255, 0, 7, 9]).subarray(1, 4);
    const common = { message_type: 'input_audio_chunk', sample_rate: 8000 };
    expect(JSON.parse(audioChunk(audio))).toEqual({ ...common, audio_base_64: '/wAH', commit: false });
    expect(JSON.parse(COMMIT)).toEqual({ ...common, audio_base_64: '', commit: true });
  });
});

describe('parseScribeMessage', () => {
  const parse = (value: unknown) => parseScribeMessage(JSON.stringify(value));

  it('reads what matters', () => {
    expect(parse({ message_type: 'session_started', session_id: 's', config: {} })).toEqual({
      type: 'session-started',
    });
    expect(parse({ message_type: 'partial_transcript', text: ' Hello' })).toEqual({ type: 'partial', text: 'Hello' });
    expect(parse({ message_type: 'committed_transcript', text: 'Hello there.' })).toEqual({
      type: 'committed',
      timed: false,
      text: 'Hello there.',
      words: [],
      confidence: 0,
    });
  });

  it('reads word times, and leaves out what is no word', () => {
    const words = [
      { text: 'Hello', start: 0.1, end: 0.4, type: 'word', logprob: Math.log(0.8), characters: null },
      { text: ' ', start: 0.4, end: 0.5, type: 'spacing' },
      { text: '(laughs)', start: 0.5, end: 0.9, type: 'audio_event' },
      { text: 'there.', start: 0.9, end: 1.25, logprob: 0 },
    ];
    const message = { message_type: 'committed_transcript_with_timestamps', text: 'Hello there.', words };
    const parsed = parse(message);
    expect(parsed).toMatchObject({ type: 'committed', timed: true, text: 'Hello there.' });
    if (parsed.type !== 'committed') throw new Error('unreachable');
    expect(parsed.words.map(({ text, startMs, endMs }) => [text, startMs, endMs])).toEqual([
      ['Hello', 100, 400],
      ['there.', 900, 1250],
    ]);
    expect(parsed.confidence).toBeCloseTo(0.9, 5);
    expect(parse({ ...message, words: 'none' })).toMatchObject({ words: [] });
  });

  it.each([
    ['auth_error', 'provider.auth'],
    ['quota_exceeded', 'provider.no-credit'],
    ['unaccepted_terms', 'provider.auth'],
    ['rate_limited', 'provider.rate-limited'],
    ['session_time_limit_exceeded', 'provider.closed'],
    ['input_error', 'provider.bad-request'],
    ['chunk_size_exceeded', 'provider.bad-request'],
    ['queue_overflow', 'provider.overloaded'],
    ['resource_exhausted', 'provider.overloaded'],
    ['transcriber_error', 'provider.overloaded'],
    ['error', 'provider.overloaded'],
    ['something_new', 'provider.overloaded'],
  ])('takes %s for %s', (name, code) => {
    const message = parse({ message_type: name, error: 'words of the vendor' });
    expect(message).toMatchObject({ type: 'failed', error: { code, details: { vendorCode: name } } });
  });

  it.each(['commit_throttled', 'insufficient_audio_activity'])('does not take %s for a failure', (name) => {
    expect(parse({ message_type: name, error: 'only 0.01s of uncommitted audio' })).toEqual({
      type: 'nothing-to-commit',
    });
  });

  it('lets pass what it does not know', () => {
    expect(parse({ message_type: 'warning', error: 'x' })).toEqual({ type: 'ignored', name: 'warning' });
    expect(parse({ message_type: 'committed_transcript_entities' })).toMatchObject({ type: 'ignored' });
    expect(parse({})).toEqual({ type: 'ignored', name: '(undefined)' });
  });

  it.each([
    ['x'],
    ['[]'],
    ['{"message_type":"partial_transcript"}'],
    ['{"message_type":"committed_transcript","text":1}'],
  ])('refuses %s', (text) => {
    expect(parseScribeMessage(text)).toMatchObject({ type: 'failed', error: { code: 'provider.protocol' } });
  });
});
