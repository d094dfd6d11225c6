import { describe, expect, it } from 'vitest';
import { CountedRequest, charactersOf } from './providers/counted.ts';
import { UsageLedger } from './usage.ts';

describe('what a call has asked of vendors', () => {
  it('is added up by provider and model, and leaves out what was not used', () => {
    const usage = new UsageLedger();
    usage.stt('deepgram', 'nova-3').audioBytes += 8_000;
    usage.stt('deepgram', 'nova-3').audioBytes += 160;
    usage.stt('embedded', undefined).audioBytes += 80;
    usage.tts('elevenlabs', 'eleven_flash_v2_5').characters += 12;
    usage.tts('openai', 'gpt-4o-mini-tts');
    usage.llm('openai', 'gpt-4o-mini');
    expect(usage.total()).toEqual({
      stt: [
        { provider: 'deepgram', model: 'nova-3', audio_ms: 1_020 },
        { provider: 'embedded', model: null, audio_ms: 10 },
      ],
      llm: [],
      tts: [{ provider: 'elevenlabs', model: 'eleven_flash_v2_5', characters: 12 }],
    });
  });

  it('has of each request the tokens that were told, and says of how many requests they were not', () => {
    const usage = new UsageLedger();
    const ask = (): CountedRequest => new CountedRequest(usage, 'anthropic', 'haiku');
    const whole = ask();
    whole.readTokens(100);
    whole.wroteTokens(5);
    // Told again as it grows, the newest counts.
    whole.readTokens(110);
    whole.wroteTokens(20);
    const broken = ask();
    broken.readTokens(50);
    // It was taken: tokens were told of it.
    broken.refuse();
    ask().refuse();
    ask();
    const [counted] = usage.total().llm;
    expect(counted).toMatchObject({ requests: 3, unreported_requests: 2, input_tokens: 160, output_tokens: 20 });
  });

  it('counts nothing for whom nobody counts', () => {
    const request = new CountedRequest(undefined, 'openai', 'm');
    request.readTokens(1);
    request.wroteTokens(1);
    request.refuse();
  });

  it('counts characters as people do, without the spaces around a text', () => {
    expect(['Grüße! ', ' 👋 ', ' '].map(charactersOf)).toEqual([6, 1, 0]);
  });
});
