import { describe, expect, it } from 'vitest';
import { BvraiError } from '../../core/errors.ts';
import type { TtsPart } from '../providers/spec.ts';
import { keptSpeech } from './kept-speech.ts';
import { SpeechCache, cachedSpeech } from './speech-cache.ts';
import { callContext, candidatesOf, scriptedTts } from './testing.ts';
import { ttsRoute } from './tts-route.ts';

const FIXED = { fixed: true };

describe('speech that was kept', () => {
  const setUp = () => {
    const { clock, context } = callContext();
    const cache = new SpeechCache();
    const vendor = scriptedTts('vendor');
    const voices = candidatesOf('tts', clock, [cachedSpeech(vendor.provider, cache)]);
    const keptVoice = keptSpeech(cache, [{ provider: 'vendor', entry: { provider: 'vendor', model: 'm1' } }]);
    const route = ttsRoute(voices, () => 0, candidatesOf('tts', clock, [keptVoice])[0]);
    const parts: TtsPart[] = [];
    const open = () => route.open({ language: 'en' }, (part) => parts.push(part), context);
    const kept = open();
    kept.speak('1', 'Sorry. ', FIXED);
    kept.speak('1', 'Goodbye.', FIXED);
    kept.finish('1');
    vendor.streams[0]?.sink({ type: 'audio-chunk', utteranceId: '1', audio: new Uint8Array(800) });
    vendor.streams[0]?.sink({ type: 'utterance-finished', utteranceId: '1' });
    parts.length = 0;
    const stream = open();
    const die = () =>
      vendor.streams.at(-1)?.sink({ type: 'stream-failed', error: new BvraiError('provider.overloaded', 'scripted') });
    return { clock, parts, stream, die, vendor, open };
  };

  it('is said with every synthesiser down', () => {
    const { clock, parts, stream, die } = setUp();
    die();
    stream.speak('2', 'Sorry. ', FIXED);
    stream.speak('2', 'Goodbye.', FIXED);
    stream.finish('2');
    clock.advance(0);
    expect(parts).toMatchObject([{ type: 'audio-chunk', audio: { length: 800 } }, { type: 'utterance-finished' }]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('does not pretend to know other texts', () => {
    const { clock, parts, stream, die } = setUp();
    die();
    stream.speak('2', 'Our pool is heated.');
    stream.finish('2');
    clock.advance(0);
    expect(parts).toMatchObject([{ type: 'utterance-failed', error: { code: 'provider.unavailable' } }]);
  });

  it('does not take the place of the last voice, however often that has failed', () => {
    const { clock, parts, die, vendor, open } = setUp();
    for (let call = 0; call < 4; call++) {
      open().speak('2', 'Our pool is heated.');
      die();
      clock.advance(0);
    }
    open().speak('3', 'We are open.');
    expect(vendor.streams.at(-1)?.spoken).toEqual(['3:We are open.']);
    parts.length = 0;
    vendor.streams.at(-1)?.sink({ type: 'audio-chunk', utteranceId: '3', audio: new Uint8Array(800) });
    expect(parts).toMatchObject([{ type: 'audio-chunk' }]);
  });

  it('finishes an utterance of no text, once; one that was cancelled never', () => {
    const { clock, context } = callContext();
    const parts: TtsPart[] = [];
    const stream = keptSpeech(new SpeechCache(), []).open({ language: 'en' }, (part) => parts.push(part), context);
    stream.cancel('1');
    for (const id of ['1', '2', '2']) stream.finish(id);
    clock.advance(0);
    stream.finish('2');
    clock.advance(0);
    expect(parts).toEqual([{ type: 'utterance-finished', utteranceId: '2' }]);
  });

  it('is silent after it was cancelled', () => {
    const { clock, parts, stream, die } = setUp();
    die();
    stream.speak('2', 'Sorry. ', FIXED);
    stream.cancel('2');
    clock.advance(0);
    expect(parts).toEqual([]);
  });
});
