import { describe, expect, it, onTestFinished } from 'vitest';
import { BvraiError } from '../../core/errors.ts';
import { silentLog } from '../../core/log.ts';
import type { TtsPart } from '../providers/spec.ts';
import { EmergencySpeech } from './emergency-speech.ts';
import { keptSpeech } from './kept-speech.ts';
import { SpeechCache, cachedSpeech } from './speech-cache.ts';
import { callContext, scriptedTts } from './testing.ts';

const PIECES = [['Sorry, ', 'what?'], ['Goodbye.']];
const AUDIO_BYTES = 800;

function setUp({ maxBytes = 20_000 } = {}) {
  const { clock, context } = callContext();
  const emergency = new EmergencySpeech({ clock, log: silentLog, maxBytes });
  onTestFinished(() => {
    emergency.close();
    expect(clock.pendingTimers).toBe(0);
  });
  const vendor = scriptedTts('vendor');
  const voices = [{ provider: 'vendor', entry: { provider: 'vendor' } }];
  const speech = new SpeechCache(4_000, emergency.cache);
  const agents = new Map<string, { id: string; language: string }>();
  return {
    clock,
    speech,
    emergency,
    vendor,
    /** A call of this agent has lasted for so long. */
    begin: (id: string, forMs = 3_000): void => {
      const agent = agents.get(id) ?? { id, language: id };
      agents.set(id, agent);
      emergency.keep({ agent, pieces: PIECES, voices, tts: cachedSpeech(vendor.provider, emergency.cache) });
      clock.advance(forMs);
    },
    /** The vendor says the utterance of its newest stream, or fails to. */
    answer: (utteranceId: string, error?: BvraiError): void => {
      const sink = vendor.streams.at(-1)?.sink;
      if (error) return sink?.({ type: 'utterance-failed', utteranceId, error });
      sink?.({ type: 'audio-chunk', utteranceId, audio: new Uint8Array(AUDIO_BYTES) });
      sink?.({ type: 'utterance-finished', utteranceId });
    },
    /** What a call of this language hears of the second text when no voice can speak. */
    heard: (language: string): readonly string[] => {
      const parts: TtsPart[] = [];
      const stream = keptSpeech(speech, voices).open({ language }, (part) => parts.push(part), context);
      stream.speak('1', 'Goodbye.');
      stream.finish('1');
      clock.advance(0);
      return parts.map(({ type }) => type);
    },
  };
}

const SAID = ['audio-chunk', 'utterance-finished'];

describe('emergency speech', () => {
  it('is made once, when the first call has begun, one text after the other, and outlasts all that calls say', () => {
    const { begin, answer, vendor, heard, speech } = setUp();
    begin('en', 2_999);
    expect(vendor.streams).toHaveLength(0);
    begin('en', 1);
    expect(vendor.streams[0]?.spoken).toEqual(['1:Sorry, ', '1:what?', '1.']);
    answer('1');
    answer('2');
    expect(vendor.streams[0]).toMatchObject({ closed: true });
    for (let i = 0; i < 100; i++) speech.set(`call ${i}`, [], AUDIO_BYTES);
    expect(heard('en')).toEqual(SAID);
    begin('en', 120_000);
    expect(vendor.streams).toHaveLength(1);
  });

  it('is made again in the next call when others have taken its place', () => {
    const { begin, answer, vendor, heard } = setUp({ maxBytes: 8_000 });
    const languages = ['en', 'de', 'fr', 'it', 'es', 'nl'];
    for (const id of languages) {
      begin(id);
      answer('1');
      answer('2');
    }
    expect(heard('en')).toEqual(['utterance-failed']);
    begin('nl', 60_000);
    expect(vendor.streams).toHaveLength(languages.length);
    begin('en');
    expect(vendor.streams).toHaveLength(languages.length + 1);
    answer('1');
    answer('2');
    expect(heard('en')).toEqual(SAID);
  });

  it('is tried again, but not by every call, when no voice could say it', () => {
    const { begin, answer, vendor, heard } = setUp();
    begin('en');
    for (const id of ['1', '2']) answer(id, new BvraiError('provider.overloaded', 'scripted'));
    for (let i = 0; i < 10; i++) begin('en', 1_000);
    expect(vendor.streams).toHaveLength(1);
    begin('en', 60_000);
    begin('en');
    expect(vendor.streams).toHaveLength(2);
    answer('1');
    answer('2');
    expect(heard('en')).toEqual(SAID);
  });

  it('is given up when the process ends', () => {
    const { begin, emergency, vendor, clock } = setUp();
    begin('en', 1_000);
    emergency.close();
    clock.advance(10_000);
    expect(vendor.streams).toHaveLength(0);
  });
});
