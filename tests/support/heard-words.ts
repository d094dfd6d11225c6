/** What a caller had heard of an answer in tone speech when it was interrupted, to compare with what the server remembers. */
import { expect } from 'vitest';
import { z } from 'zod';
import { compareHeard } from '../../bench/turn-taking/ear.ts';
import type { Phone } from '../../bench/phone/phone.ts';
import type { TestCallRecord, TestServer } from './server.ts';

/** In words. What is heard while the order to stop is on its way no server can know: it may remember anything between the two. */
export interface HeardOfAnswer {
  /** When the server gave that order. */
  readonly least: number;
  /** When the order arrived. */
  readonly most: number;
}

export const words = (text: string): number => text.split(/\s+/u).filter((word) => word !== '').length;

/** Of the answer that began after `fromMs` and was silenced at last with the phone's last `clear`. Fails if the ear heard anything else. */
export function heardOfAnswer(
  server: TestServer,
  phone: Phone,
  record: TestCallRecord,
  answer: string,
  fromMs: number,
): HeardOfAnswer {
  const silencedMs = phone.events.findLast(({ type }) => type === 'clear')?.atMs ?? Number.NaN;
  const toldMs = toldToStopMs(server, phone, record);
  return {
    least: wordsHeard(phone.heard(fromMs, toldMs), answer),
    most: wordsHeard(phone.heard(fromMs, silencedMs), answer),
  };
}

/** When the server decided that the agent be silent, for the last time, on the phone's clock: from the server's log. */
function toldToStopMs(server: TestServer, phone: Phone, { id }: TestCallRecord): number {
  const lines = server.log.filter(({ call }) => call === id);
  const last = lines.findLastIndex(({ msg }) => msg === 'barge-in');
  const before = lines.slice(0, last + 1);
  // A held reply was silenced when it was held.
  const from = before.findLastIndex(({ msg }) => msg === 'resumed' || msg === 'first-audio') + 1;
  const line = before.slice(from).find(({ msg }) => msg === 'interruption-suspected' || msg === 'barge-in');
  return z.number().parse(line?.['time']) - (Date.now() - performance.now()) - phone.startedAtMs;
}

/** Up to the last word of which at least half reached the ear: so the history counts them, too. */
function wordsHeard(pcm: Int16Array, answer: string): number {
  const { heardCharacters, foreign } = compareHeard(pcm, answer);
  expect(foreign).toEqual([]);
  let end = 0;
  return answer.split(' ').filter((word) => {
    end += word.length;
    return heardCharacters >= end - word.length / 2;
  }).length;
}
