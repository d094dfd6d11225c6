import { describe, expect, it } from 'vitest';
import { ScriptReader } from './script.ts';
import type { Script, Stretch } from './script.ts';

const reader = (script: Script): ScriptReader => new ScriptReader(() => script, '/v1/listen');
const said = (words: readonly { readonly punctuated_word: string }[]): string =>
  words.map((word) => word.punctuated_word).join(' ');

function speak(stretch: Stretch, untilMs: number): Stretch {
  stretch.lastVoicedMs = untilMs;
  return stretch;
}

describe('the recogniser emulator’s script', () => {
  it('has each stretch of unknown length say an entry, at an even pace until a pause', () => {
    const script = reader(['One two three.', 'Four.']);
    const first = speak(script.begin(1_000), 1_700);
    expect(said(first.interimWords(1_700, false))).toBe('One two');
    expect(said(first.interimWords(1_760, true))).toBe('One two three.');
    script.end(first);
    expect(said(speak(script.begin(3_000), 3_100).finalWords())).toBe('Four.');
  });

  it('lets words of known length out as they are said, and goes on after a pause where it stopped', () => {
    const script = reader([{ text: 'aaaa bbbb cccc', speechMs: 1_200 }, 'Next.']);
    const first = speak(script.begin(1_000), 1_500);
    expect(said(first.interimWords(1_600, true))).toBe('aaaa');
    script.end(first);
    const second = speak(script.begin(1_900), 2_150);
    expect(said(second.finalWords())).toBe('bbbb cccc');
    expect(second.finalWords()[0]?.start).toBeCloseTo(1.4, 6);
    script.end(second);
    expect(said(script.begin(4_000).finalWords())).toBe('Next.');
  });

  it('does not go on with an utterance whose time is over', () => {
    const script = reader([{ text: 'aaaa bbbb', speechMs: 1_000 }, 'Next.']);
    script.end(speak(script.begin(0), 200));
    expect(said(script.begin(1_500).finalWords())).toBe('Next.');
  });

  it('hears nothing where the script says nothing, or asks a function', () => {
    expect(said(reader(['']).begin(0).finalWords())).toBe('');
    const script = reader(({ url, index }) => `${url} ${index}`);
    expect(said(script.begin(0).finalWords())).toBe('/v1/listen 0');
    expect(said(script.begin(9_000).finalWords())).toBe('/v1/listen 1');
  });
});
