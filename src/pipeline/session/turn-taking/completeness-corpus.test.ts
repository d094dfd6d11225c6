import { afterAll, describe, expect, it } from 'vitest';
import { CLASSES, CORPUS } from './completeness-corpus.test-data.ts';
import { assessCompleteness } from './completeness.ts';
import type { Completeness } from './completeness.ts';

/** Right answers and all answers by language and class. */
const scores = new Map<string, { right: number; all: number }>();
const misses: string[] = [];

function score(language: string, text: string, label: Completeness): void {
  const judged = assessCompleteness(text, language);
  const key = `${language} ${label}`;
  const so = scores.get(key) ?? { right: 0, all: 0 };
  scores.set(key, { right: so.right + Number(judged === label), all: so.all + 1 });
  if (judged !== label) misses.push(`${language} ${JSON.stringify(text)}: ${judged}, not ${label}`);
}

afterAll(() => {
  const rows = [...scores].map(([key, { right, all }]) => `  ${key}: ${right}/${all}`);
  console.log(['completeness on the corpus', ...rows, ...misses.map((miss) => `  missed: ${miss}`)].join('\n'));
});

describe('the corpus', () => {
  it.each([
    ['en', CORPUS.en],
    ['de', CORPUS.de],
  ] as const)('%s', (language, corpus) => {
    for (const label of CLASSES) for (const text of corpus[label]) score(language, text, label);
    const all = [...scores].filter(([key]) => key.startsWith(language));
    for (const [key, { right, all: total }] of all) expect(right / total, key).toBeGreaterThanOrEqual(0.95);
  });
});
