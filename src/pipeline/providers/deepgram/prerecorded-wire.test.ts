import { describe, expect, it } from 'vitest';
import { parseRecordingTranscript, recordingQuery } from './prerecorded-wire.ts';

describe('recordingQuery', () => {
  const request = { language: 'en', phrases: ['bvrai'], multichannel: true };

  it('asks for utterances of each channel', () => {
    expect(recordingQuery(request)).toEqual({
      language: 'en',
      smart_format: true,
      keyterm: ['bvrai'],
      model: 'nova-3',
      multichannel: true,
      utterances: true,
    });
  });

  it('lets options add, replace and remove, but not send the answer elsewhere', () => {
    const options = { callback: 'https://elsewhere', language: null, utterances: false, utt_split: 1.2 };
    expect(recordingQuery({ ...request, model: 'nova-2', multichannel: false, options })).toEqual({
      smart_format: true,
      utt_split: 1.2,
      model: 'nova-2',
      multichannel: false,
      utterances: true,
    });
  });
});

describe('parseRecordingTranscript', () => {
  const words = [{ word: 'hello', start: 0.5, end: 0.9, confidence: 0.98, punctuated_word: 'Hello.' }];
  const answer = {
    metadata: { request_id: 'x', sha256: 'x', created: 'x', duration: 12.25, channels: 2, models: [] },
    results: {
      channels: [],
      utterances: [
        { id: 'a', channel: 1, start: 2.5, end: 3, confidence: 0.9, transcript: 'Hi, Ada here.', words: [] },
        { id: 'b', channel: 0, start: 0.5, end: 0.9, confidence: 0.98, transcript: 'Hello.', words },
      ],
    },
  };

  it('puts the conversation in order', () => {
    expect(parseRecordingTranscript(answer)).toEqual({
      durationMs: 12_250,
      channelCount: 2,
      utterances: [
        {
          channel: 0,
          startMs: 500,
          endMs: 900,
          text: 'Hello.',
          confidence: 0.98,
          words: [{ text: 'Hello.', startMs: 500, endMs: 900, confidence: 0.98 }],
        },
        { channel: 1, startMs: 2_500, endMs: 3_000, text: 'Hi, Ada here.', confidence: 0.9, words: [] },
      ],
    });
  });

  it.each([
    [undefined],
    ['text'],
    [{ request_id: 'a callback was asked for' }],
    [{ ...answer, results: { channels: [] } }],
    [{ ...answer, results: { utterances: [{ start: 1 }] } }],
  ])('refuses %j', (value) => {
    expect(() => parseRecordingTranscript(value)).toThrow(expect.objectContaining({ code: 'provider.protocol' }));
  });
});
