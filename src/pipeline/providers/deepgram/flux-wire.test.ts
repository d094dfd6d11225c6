import { describe, expect, it } from 'vitest';
import { fluxUrl, parseFluxMessage } from './flux-wire.ts';

function turnInfo(event: string, fields: object = {}): string {
  return JSON.stringify({
    type: 'TurnInfo',
    request_id: 'x',
    sequence_id: 11,
    event,
    turn_index: 0,
    audio_window_start: 0,
    audio_window_end: 2.24,
    transcript: 'Yeah, please.',
    words: [
      { word: 'Yeah,', confidence: 0.9, start: 0.4, end: 0.7 },
      { word: 'please.', confidence: 0.7, start: 0.8, end: 1.1 },
    ],
    end_of_turn_confidence: 0.86,
    trigger: 'model',
    ...fields,
  });
}

const part = (text: string) => {
  const message = parseFluxMessage(text);
  return message.type === 'part' ? message.part : message.type;
};
const failure = (text: string) => {
  const message = parseFluxMessage(text);
  if (message.type !== 'failed') throw new Error(`not a failure: ${message.type}`);
  return message.error;
};

describe('parseFluxMessage', () => {
  it('reads the events of a turn', () => {
    const text = 'Yeah, please.';
    expect(part(turnInfo('StartOfTurn'))).toEqual({ type: 'speech-started' });
    expect(part(turnInfo('Update'))).toEqual({ type: 'transcript-interim', text, confidence: expect.closeTo(0.8) });
    expect(part(turnInfo('EagerEndOfTurn'))).toEqual({ type: 'turn-end-likely', text });
    expect(part(turnInfo('TurnResumed'))).toEqual({ type: 'turn-resumed' });
    expect(part(turnInfo('EndOfTurn'))).toEqual({
      type: 'turn-ended',
      text,
      confidence: expect.closeTo(0.8),
      words: [
        { text: 'Yeah,', startMs: 400, endMs: 700, confidence: 0.9 },
        { text: 'please.', startMs: 800, endMs: 1_100, confidence: 0.7 },
      ],
    });
  });

  it.each([
    { audio_window_start: 12.4, audio_window_end: 14 },
    { audio_window_end: 1 },
    { audio_window_end: undefined },
    { words: [{ word: 'Yeah,', confidence: 0.9 }] },
    { words: [{ word: 'Yeah,', confidence: 0.9, start: 0.7, end: 0.4 }] },
    { words: [{ word: 'Yeah,', confidence: 0.9, start: 'now', end: 0.4 }] },
  ])('trusts no times of words that cannot be those of the stream (%j)', (fields) => {
    expect(part(turnInfo('EndOfTurn', fields))).toMatchObject({ type: 'turn-ended', text: 'Yeah, please.', words: [] });
  });

  it('passes over what says nothing, and what it does not know', () => {
    expect(part(turnInfo('Update', { transcript: '', words: [] }))).toBe('ignored');
    expect(part(turnInfo('SomethingNew'))).toBe('ignored');
    expect(part('{"type":"Connected","request_id":"x","sequence_id":0}')).toBe('ignored');
    expect(part('{"type":"ConfigureSuccess"}')).toBe('ignored');
    expect(part('{}')).toBe('ignored');
  });

  it('does without words', () => {
    expect(part(turnInfo('EndOfTurn', { words: 'none' }))).toMatchObject({ text: 'Yeah, please.', confidence: 0 });
  });

  it.each([
    ['INTERNAL_SERVER_ERROR', 'provider.overloaded'],
    ['NET-0001', 'provider.overloaded'],
    ['DATA-0000', 'provider.bad-request'],
    ['UNPARSABLE_CLIENT_MESSAGE', 'provider.bad-request'],
  ])('takes %s for %s', (vendorCode, code) => {
    const error = failure(JSON.stringify({ type: 'Error', sequence_id: 13, code: vendorCode, description: 'Why.' }));
    expect(error).toMatchObject({ code, details: { vendorCode } });
    expect(error.message).toContain('Why.');
  });

  it.each(['', '{"type":"Tur', '[]', 'null', '{"type":"TurnInfo"}', '{"type":"TurnInfo","event":"Update"}'])(
    'calls %j a breach of protocol',
    (text) => expect(failure(text).code).toBe('provider.protocol'),
  );
});

describe('fluxUrl', () => {
  const request = { model: 'flux-general-en', language: 'en', phrases: ['Zimmer frame', 'R&D'] };

  it('asks for what the audio path needs, and for likely ends of turn', () => {
    const url = fluxUrl('https://api.deepgram.com', request);
    expect(url.protocol + url.host + url.pathname).toBe('wss:api.deepgram.com/v2/listen');
    expect(url.search).toContain('keyterm=Zimmer%20frame&keyterm=R%26D');
    url.searchParams.delete('keyterm');
    expect(Object.fromEntries(url.searchParams)).toEqual({
      model: 'flux-general-en',
      encoding: 'mulaw',
      sample_rate: '8000',
      eot_threshold: '0.7',
      eager_eot_threshold: '0.4',
      eot_timeout_ms: '3000',
    });
  });

  it('lets options change what is ours to choose, and nothing else', () => {
    const options = { eager_eot_threshold: null, eot_threshold: 0.8, encoding: 'linear16', model: 'nova-3' };
    const { searchParams } = fluxUrl('https://x', { ...request, options });
    expect(searchParams.has('eager_eot_threshold')).toBe(false);
    expect(searchParams.get('eot_threshold')).toBe('0.8');
    expect(searchParams.get('encoding')).toBe('mulaw');
    expect(searchParams.get('model')).toBe('flux-general-en');
  });

  it('tells the language to a model that has several', () => {
    const url = fluxUrl('https://x', { ...request, model: 'flux-general-multi', language: 'de' });
    expect(url.searchParams.get('language_hint')).toBe('de');
  });
});
