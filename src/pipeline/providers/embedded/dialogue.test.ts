import { describe, expect, it } from 'vitest';
import type { LlmMessage, QuestionAndAnswer } from '../spec.ts';
import { decide, decideBySimilarity, sharedWords } from './dialogue.ts';

const HOURS: QuestionAndAnswer = {
  questions: ['What are your opening hours?', 'When are you open?'],
  answer: 'Nine to five.',
};
const ROOM: QuestionAndAnswer = { questions: ['Is room 101 free?'], answer: 'Room 101 is taken.' };
const DOG: QuestionAndAnswer = {
  questions: ['Can I bring my dog'],
  answer: 'Dogs are welcome. The fee is ten dollars.',
};
const ENTRIES = [HOURS, ROOM, DOG];

/** Plays a call: each caller line gets its reply; `similar` stands in for the sentence vectors. */
function call(lines: readonly string[], similar: ReadonlyMap<QuestionAndAnswer, number> = new Map()): string[] {
  const messages: LlmMessage[] = [{ role: 'system', content: 'Be brief.' }];
  return lines.map((line) => {
    messages.push({ role: 'user', content: line });
    const reply = answer(messages, similar);
    messages.push({ role: 'assistant', content: reply });
    return reply;
  });
}

function answer(messages: readonly LlmMessage[], similar: ReadonlyMap<QuestionAndAnswer, number> = new Map()): string {
  const decision = decide(messages, ENTRIES);
  if (decision.type === 'say') return decision.text;
  const candidates = ENTRIES.map((entry) => ({ entry, similarity: similar.get(entry) ?? 0 }));
  return decideBySimilarity(messages, decision, candidates);
}

describe('exact questions', () => {
  it('are answered, whatever their writing and politeness', () => {
    for (const line of ['what are your opening hours', 'WHEN are you open?!', 'um hello when are you open please']) {
      expect(call([line])).toEqual(['Nine to five.']);
    }
    expect(call(['is room one hundred one free'])).toEqual(['Room 101 is taken.']);
    expect(call(['Okay, can you tell me can I bring my dog?'])).toEqual([DOG.answer]);
  });
});

describe('paraphrases', () => {
  it('are answered when they are clear', () => {
    expect(
      call(
        ['is my puppy fine'],
        new Map([
          [DOG, 0.8],
          [HOURS, 0.3],
        ]),
      ),
    ).toEqual([DOG.answer]);
  });

  it('are confirmed when they are not, and yes or no resolves it', () => {
    const unsure = new Map([
      [DOG, 0.55],
      [HOURS, 0.52],
    ]);
    expect(call(['something about times', 'yes please'], unsure)).toEqual([
      'Did you mean: Can I bring my dog?',
      DOG.answer,
    ]);
    const [first, second, third] = call(['something about times', 'no', "yeah that's right"], unsure);
    expect(first).toBe('Did you mean: Can I bring my dog?');
    expect(second).toBe('Then did you mean: What are your opening hours?');
    expect(third).toBe('Nine to five.');
    expect(call(['something about times', 'no', 'no'], unsure)[2]).toMatch(
      /^All right, then please ask it in other words\. You can ask/,
    );
  });

  it('are confirmed when two answers are equally near', () => {
    expect(
      call(
        ['dog times'],
        new Map([
          [DOG, 0.9],
          [HOURS, 0.88],
        ]),
      )[0],
    ).toMatch(/^Did you mean: /);
  });

  it('keep waiting for the yes through a line that was not understood', () => {
    const unsure = new Map([[DOG, 0.55]]);
    expect(call(['something', '', 'yes'], unsure)[2]).toBe(DOG.answer);
  });

  it('give way to a plain question', () => {
    expect(call(['something', 'when are you open'], new Map([[DOG, 0.55]]))[1]).toBe('Nine to five.');
  });

  it('are resolved when the caller interrupted the confirmation, if enough of it was heard', () => {
    const messages = (heard: string): LlmMessage[] => [
      { role: 'user', content: 'something' },
      { role: 'assistant', content: heard },
      { role: 'user', content: 'yes' },
    ];
    expect(answer(messages('Did you mean: Can I bring'))).toBe(DOG.answer);
    expect(answer(messages('Did you mean:'))).not.toBe(DOG.answer);
  });
});

describe('what it cannot answer', () => {
  it('is refused plainly, with other examples each time', () => {
    const [first, second] = call(['tell me a joke', 'who won the match']);
    expect(first).toContain('scripted front desk without a language model');
    expect(first).toContain('What are your opening hours? Is room 101 free? Can I bring my dog?');
    expect(second).toContain('either');
  });

  it('includes everything when there are no questions', () => {
    const decision = decide([{ role: 'user', content: 'hello there friend of mine' }], []);
    expect(decision.type).toBe('compare');
    if (decision.type === 'compare') expect(decideBySimilarity([], decision, [])).toContain('no prepared answers');
  });

  it('an empty transcript is asked for again', () => {
    for (const line of ['', '  ', '…']) expect(call([line])[0]).toContain('did not catch that');
    expect(answer([])).toContain('did not catch that');
  });
});

describe('small talk', () => {
  it('repeats the last answer, in full when it was interrupted', () => {
    expect(call(['when are you open', '', 'can you say that again'])[2]).toBe('Nine to five.');
    const interrupted: LlmMessage[] = [
      { role: 'user', content: 'can i bring my dog' },
      { role: 'assistant', content: 'Dogs are welcome.' },
      { role: 'user', content: 'Sorry, could you repeat that, please?' },
    ];
    expect(answer(interrupted)).toBe(DOG.answer);
    expect(call(['pardon'])[0]).toContain('not said anything yet');
  });

  it('greets, thanks and says goodbye', () => {
    const [hello, welcome, goodbye] = call(['Hello!', 'thank you very much', 'no thank you']);
    expect(hello).toContain('Hello');
    expect(welcome).toContain('anything else');
    expect(goodbye).toContain('Goodbye');
    expect(call(['bye bye'])[0]).toContain('Goodbye');
    expect(call(['what can you do'])[0]).toContain('You can ask me');
  });
});

describe('sharedWords', () => {
  it('tells check-in from check-out', () => {
    const late = 'how late can i check out';
    expect(sharedWords(late, 'What time is check-out?')).toBeGreaterThan(sharedWords(late, 'What time is check-in?'));
    expect(sharedWords('the', 'is it')).toBe(0);
  });
});
