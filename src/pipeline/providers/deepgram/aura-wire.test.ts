import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FLUSH_WINDOW_MS, FlushBudget, parseAuraMessage, speakMessages, speakUrl } from './aura-wire.ts';
import type { FlushReason } from './aura-wire.ts';

describe('the address', () => {
  it('names the voice as the model and fixes what the audio path needs', () => {
    const url = speakUrl('https://api.deepgram.com/', {
      language: 'en',
      voice: 'aura-2-zeus-en',
      options: { encoding: 'mp3', container: 'wav', mip_opt_out: true },
    });
    expect(url.href).toBe(
      'wss://api.deepgram.com/v1/speak?mip_opt_out=true&model=aura-2-zeus-en&encoding=mulaw&sample_rate=8000',
    );
  });

  it('takes a route that gives the voice as a model, and one that gives none', () => {
    const model = (request: object) =>
      speakUrl('http://127.0.0.1:9', { language: 'en', ...request }).searchParams.get('model');
    expect(model({ model: 'aura-asteria-en' })).toBe('aura-asteria-en');
    expect(model({})).toBe('aura-2-thalia-en');
  });
});

describe('text', () => {
  it('ends in one space', () => {
    expect(speakMessages('Hello there.')).toEqual(['{"type":"Speak","text":"Hello there. "}']);
    expect(speakMessages(' Hello. ')).toEqual(['{"type":"Speak","text":"Hello. "}']);
  });

  it('is cut at spaces to what one message takes, and nothing is lost', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1, maxLength: 400 }), { minLength: 1, maxLength: 60 }), (words) => {
        const text = words.join(' ').trim();
        const parts = speakMessages(text).map((message) => (JSON.parse(message) as { text: string }).text);
        for (const part of parts) expect(part.length).toBeLessThanOrEqual(2_000);
        expect(parts.join('').replaceAll(/\s/g, '')).toBe(text.replaceAll(/\s/g, ''));
      }),
    );
  });
});

describe('messages', () => {
  it.each([
    ['{"type":"Flushed","sequence_id":0}', { type: 'flushed' }],
    ['{"type":"Cleared","sequence_id":1}', { type: 'cleared' }],
    ['{"type":"Metadata","request_id":"x","model_name":"aura-2-thalia-en"}', { type: 'ignored' }],
    ['{"type":"SomethingNew"}', { type: 'ignored' }],
    [
      '{"type":"Warning","code":"EXCESSIVE_FLUSH","description":"Too many Flush messages."}',
      { type: 'warned', code: 'EXCESSIVE_FLUSH', flushRefused: true },
    ],
    ['{"type":"Warning","warn_code":"SLOW"}', { type: 'warned', code: 'SLOW', flushRefused: false }],
    ['{"type":"Warning","code":7}', { type: 'warned', code: '', flushRefused: false }],
  ])('%s', (text, message) => {
    expect(parseAuraMessage(text)).toEqual(message);
  });

  it.each([
    ['{"type":"Error","code":"DATA-0001","description":"Too long."}', 'provider.bad-request'],
    ['{"type":"Error","err_code":"NET-0000","err_msg":"Lost."}', 'provider.overloaded'],
    ['{"type":"Error"}', 'provider.overloaded'],
    ['nonsense', 'provider.protocol'],
    ['[]', 'provider.protocol'],
    ['{"type":1}', 'provider.protocol'],
  ])('%s is %s', (text, code) => {
    expect(parseAuraMessage(text)).toMatchObject({ type: 'failed', error: { code } });
  });
});

describe('the budget of flushes', () => {
  it('never has more than 20 in a minute, keeps some for firsts and more for ends, and has them all again', () => {
    const step = fc.tuple(fc.constantFrom<FlushReason>('finish', 'first', 'gap'), fc.integer({ min: 0, max: 8_000 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const budget = new FlushBudget();
        const taken: number[] = [];
        let nowMs = 0;
        for (const [reason, waitMs] of steps) {
          nowMs += waitMs;
          const recent = taken.filter((atMs) => nowMs - atMs < FLUSH_WINDOW_MS).length;
          const limit = { finish: 20, first: 16, gap: 10 }[reason];
          const allowed = budget.allows(reason, nowMs);
          expect(allowed).toBe(recent < limit);
          if (!allowed) continue;
          budget.take(nowMs);
          taken.push(nowMs);
        }
        expect(budget.allows('gap', nowMs + FLUSH_WINDOW_MS)).toBe(true);
      }),
    );
  });
});
