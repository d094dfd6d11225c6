import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import { silentLog } from '../../../core/log.ts';
import type { LlmMessage, LlmPart, LlmRequest } from '../spec.ts';
import { ENTRIES, OUTSIDE, PARAPHRASES } from './paraphrases.test-data.ts';
import { createResponder } from './responder.ts';
import type { Responder } from './responder.ts';
import { Collector, testContext, LONG_WORK } from './testing.ts';

let llm: Responder;
beforeAll(async () => {
  llm = createResponder({ log: silentLog, clock: systemClock });
  await llm.warm();
  await llm.prepare(ENTRIES);
});
afterAll(() => llm.close());

const isLast = (part: LlmPart) => part.type === 'generation-finished' || part.type === 'generation-failed';

function requestOf(messages: readonly LlmMessage[], maxOutputTokens = 300): LlmRequest {
  return { messages, questionsAndAnswers: ENTRIES, maxOutputTokens };
}

async function generate(request: LlmRequest): Promise<{ text: string; parts: readonly LlmPart[] }> {
  const collector = new Collector<LlmPart>();
  llm.generate(request, collector.sink, testContext());
  await collector.until((part): part is LlmPart => isLast(part));
  return {
    text: collector.parts.map((part) => (part.type === 'text-delta' ? part.text : '')).join(''),
    parts: collector.parts,
  };
}

const answerTo = async (content: string) => (await generate(requestOf([{ role: 'user', content }]))).text;

describe('the embedded responder', () => {
  it('answers paraphrases, or asks whether it understood them', LONG_WORK, async () => {
    let [right, confirmed, wrong] = [0, 0, 0];
    for (const [query, expected] of PARAPHRASES) {
      const text = await answerTo(query);
      const asked = ENTRIES.find(({ questions }) => text.endsWith(`Did you mean: ${questions[0]}`));
      if (text === expected) right++;
      else if (asked?.answer === expected) confirmed++;
      else if (ENTRIES.some(({ answer }) => answer === text)) wrong++;
    }
    const outside = await Promise.all(OUTSIDE.map(answerTo));
    const refused = outside.filter((text) => text.includes('scripted front desk')).length;
    const answered = outside.filter((text) => ENTRIES.some(({ answer }) => answer === text)).length;
    console.log(
      `responder: of ${PARAPHRASES.length} paraphrases ${right} answered, ${confirmed} confirmed, ${wrong} answered wrongly; ` +
        `of ${OUTSIDE.length} others ${refused} refused, ${answered} answered`,
    );
    expect(right + confirmed).toBeGreaterThanOrEqual(35);
    expect(wrong).toBeLessThanOrEqual(2);
    expect(answered).toBe(0);
    expect(refused).toBeGreaterThanOrEqual(13);
  });

  it('answers a caller while it learns what other agents can be asked', LONG_WORK, async () => {
    const done: string[] = [];
    const learning = [1, 2].map((agent) => {
      const questions = Array.from({ length: 120 }, (_, i) => `Is room ${i} of house ${agent} free?`);
      return llm.prepare([{ questions, answer: 'No.' }]).then(() => done.push('learned'));
    });
    await answerTo('Could my little dog stay with me tonight?');
    done.push('answered');
    await Promise.all(learning);
    expect(done).toEqual(['answered', 'learned', 'learned']);
  });

  it('sends clauses, then the end', async () => {
    const { parts, text } = await generate(requestOf([{ role: 'user', content: 'Are pets allowed?' }]));
    expect(text).toBe('Yes, dogs are welcome for ten dollars a night.');
    expect(parts.map(({ type }) => type)).toEqual(['text-delta', 'text-delta', 'generation-finished']);
    expect(parts.at(-1)).toEqual({ type: 'generation-finished', reason: 'stop' });
  });

  it('keeps to the length asked for', async () => {
    const { parts, text } = await generate(requestOf([{ role: 'user', content: 'Are pets allowed?' }], 3));
    expect(text.trim()).toBe('Yes, dogs are');
    expect(parts.at(-1)).toEqual({ type: 'generation-finished', reason: 'length' });
  });

  it('resolves an unsure paraphrase with the history alone', async () => {
    const messages: LlmMessage[] = [{ role: 'user', content: 'where is your hotel' }];
    const { text } = await generate(requestOf(messages));
    expect(text).toBe('Did you mean: Where are you located?');
    messages.push({ role: 'assistant', content: text }, { role: 'user', content: 'yes please' });
    expect((await generate(requestOf(messages))).text).toContain('Harbour Street');
  });

  it('says nothing from within the call, nor after abort', async () => {
    const collector = new Collector<LlmPart>();
    const context = testContext();
    const stream = llm.generate(requestOf([{ role: 'user', content: 'hello' }]), collector.sink, context);
    llm.generate(requestOf([{ role: 'user', content: 'something entirely different' }]), collector.sink, context);
    expect(collector.parts).toEqual([]);
    stream.abort();
    context.abort();
    await answerTo('is there a swimming pool');
    expect(collector.parts).toEqual([]);
  });

  it('leaves its thread to others while it looks for an answer', async () => {
    let turns = 0;
    let answered = false;
    const turn = (): void => {
      turns++;
      if (!answered) setImmediate(turn);
    };
    const startMs = systemClock.nowMs();
    turn();
    await answerTo('how would one bring along a small animal');
    answered = true;
    console.log(
      `responder: a new sentence in ${(systemClock.nowMs() - startMs).toFixed(0)} ms, ${turns} turns of the event loop`,
    );
    // On the thread itself it would be a handful.
    expect(turns).toBeGreaterThan(100);
  });
});
