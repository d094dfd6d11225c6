import { describe, expect, it } from 'vitest';
import type { SttRequest } from '../spec.ts';
import {
  appendAudio,
  detectsTurns,
  parseRealtimeEvent,
  parseRealtimeRefusal,
  realtimeUrl,
  sessionUpdate,
} from './realtime-wire.ts';

const REQUEST: SttRequest = { language: 'en-GB', phrases: [' opening hours ', 'opening hours', 'x'.repeat(61), ''] };
const session = (request: SttRequest): unknown => JSON.parse(sessionUpdate(request));

describe('realtimeUrl', () => {
  it('asks for transcription and names no model', () => {
    expect(realtimeUrl('https://api.openai.com/v1').href).toBe('wss://api.openai.com/v1/realtime?intent=transcription');
    expect(realtimeUrl('http://127.0.0.1:9102/v1/').href).toBe('ws://127.0.0.1:9102/v1/realtime?intent=transcription');
  });
});

describe('sessionUpdate', () => {
  it('asks for μ-law, without turn detection, with the agent’s phrases where they are taken', () => {
    expect(session(REQUEST)).toEqual({
      type: 'session.update',
      session: {
        type: 'transcription',
        audio: {
          input: {
            format: { type: 'audio/pcmu' },
            transcription: { model: 'gpt-live-transcribe', languages: ['en'], keywords: ['opening hours'] },
            turn_detection: null,
          },
        },
      },
    });
  });

  it('asks the older models for how sure they are, and gives them no prompt of its own', () => {
    expect(session({ ...REQUEST, model: 'gpt-4o-mini-transcribe' })).toEqual({
      type: 'session.update',
      session: {
        type: 'transcription',
        include: ['item.input_audio_transcription.logprobs'],
        audio: {
          input: {
            format: { type: 'audio/pcmu' },
            transcription: { model: 'gpt-4o-mini-transcribe', language: 'en' },
            turn_detection: null,
          },
        },
      },
    });
  });

  it('puts options where they belong', () => {
    const options = {
      turn_detection: { type: 'server_vad', silence_duration_ms: 200 },
      noise_reduction: { type: 'far_field' },
      include: [],
      prompt: 'A hotel.',
      language: null,
      model: 'another',
    };
    const request = { ...REQUEST, model: 'gpt-4o-transcribe', options };
    expect(detectsTurns(request)).toBe(true);
    expect(session(request)).toMatchObject({
      session: {
        include: [],
        audio: {
          input: {
            noise_reduction: { type: 'far_field' },
            transcription: { model: 'gpt-4o-transcribe', prompt: 'A hotel.' },
            turn_detection: { type: 'server_vad', silence_duration_ms: 200 },
          },
        },
      },
    });
    expect(sessionUpdate(request)).not.toContain('language');
    expect(detectsTurns({ ...REQUEST, options: { turn_detection: null } })).toBe(false);
  });
});

describe('appendAudio', () => {
  it('carries just the bytes given', () => {
    const audio = new Uint8Array([9, 255, 0, 7, 9]).subarray(1, 4);
    expect(JSON.parse(appendAudio(audio))).toEqual({ type: 'input_audio_buffer.append', audio: '/wAH' });
  });
});

describe('parseRealtimeEvent', () => {
  const parse = (value: unknown) => parseRealtimeEvent(JSON.stringify(value));

  it('reads what matters', () => {
    expect(parse({ type: 'session.updated', event_id: 'e', session: {} })).toEqual({ type: 'ready' });
    expect(parse({ type: 'input_audio_buffer.speech_started', audio_start_ms: 300, item_id: 'i' })).toEqual({
      type: 'speech-started',
    });
    expect(parse({ type: 'input_audio_buffer.committed', item_id: 'i', previous_item_id: null })).toEqual({
      type: 'committed',
      itemId: 'i',
    });
    const delta = { content_index: 0, item_id: 'i', delta: ' Hello' };
    expect(parse({ type: 'conversation.item.input_audio_transcription.delta', ...delta })).toEqual({
      type: 'delta',
      itemId: 'i',
      text: ' Hello',
    });
    const usage = { type: 'duration', seconds: 2 };
    const completed = { content_index: 0, item_id: 'i', transcript: ' Hello there.\n', usage };
    expect(parse({ type: 'conversation.item.input_audio_transcription.completed', ...completed })).toEqual({
      type: 'completed',
      itemId: 'i',
      text: 'Hello there.',
      confidence: 0,
    });
  });

  it('makes a confidence of log probabilities', () => {
    const type = 'conversation.item.input_audio_transcription.completed';
    const logprobs = [
      { token: 'Hi', logprob: Math.log(0.9), bytes: [] },
      { token: '.', logprob: Math.log(0.4), bytes: [] },
    ];
    const event = parse({ type, item_id: 'i', transcript: 'Hi.', logprobs });
    expect(event.type === 'completed' && event.confidence).toBeCloseTo(0.6, 5);
    expect(parse({ type, item_id: 'i', transcript: 'Hi.', logprobs: 'none' })).toMatchObject({ confidence: 0 });
  });

  it.each([
    [{ type: 'server_error', code: null, message: 'x' }, 'provider.overloaded'],
    [{ type: 'invalid_request_error', code: 'invalid_value', message: 'no such model' }, 'provider.bad-request'],
    [{ type: 'invalid_request_error', code: 'session_expired', message: 'x' }, 'provider.closed'],
    [{ type: 'rate_limit_error', code: 'rate_limit_exceeded' }, 'provider.rate-limited'],
    [undefined, 'provider.overloaded'],
  ])('takes the error %j for %s', (error, code) => {
    for (const type of ['error', 'conversation.item.input_audio_transcription.failed']) {
      expect(parse({ type, item_id: 'i', error })).toMatchObject({ type: 'failed', error: { code } });
    }
  });

  it('does not take an empty commit for a failure', () => {
    const error = { type: 'invalid_request_error', code: 'input_audio_buffer_commit_empty', message: 'too small' };
    expect(parse({ type: 'error', error })).toEqual({ type: 'nothing-to-commit' });
  });

  it('lets pass what it does not know', () => {
    expect(parse({ type: 'session.created' })).toEqual({ type: 'ignored', name: 'session.created' });
    expect(parse({})).toEqual({ type: 'ignored', name: '(undefined)' });
  });

  it.each([
    ['not JSON'],
    ['[]'],
    ['{"type":"input_audio_buffer.committed"}'],
    ['{"type":"conversation.item.input_audio_transcription.delta","delta":"x"}'],
    ['{"type":"conversation.item.input_audio_transcription.completed","item_id":"i","transcript":null}'],
  ])('refuses %s', (text) => {
    expect(parseRealtimeEvent(text)).toMatchObject({ type: 'failed', error: { code: 'provider.protocol' } });
  });
});

describe('parseRealtimeRefusal', () => {
  it('reads the body, and sees a lack of credit', () => {
    expect(parseRealtimeRefusal('{"error":{"type":"a","code":"insufficient_quota","message":"m"}}')).toEqual({
      code: 'insufficient_quota',
      message: 'm',
      is: 'provider.no-credit',
    });
    expect(parseRealtimeRefusal('<html>')).toMatchObject({ code: undefined, is: undefined });
  });
});
