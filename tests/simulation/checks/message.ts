/** What the agent said as one message: usually one speech, or several when another voice went on with it. */
import type { FarSide, Speech } from '../far-side.ts';
import type { SpokenWord } from '../takes.ts';

/** How many words show where a voice went on. */
const MATCHED_WORDS = 3;

/** Speeches in order, those of one message together. */
export function messagesOf(speeches: readonly Speech[]): Speech[][] {
  const messages: Speech[][] = [];
  for (const speech of speeches) {
    const last = messages.at(-1);
    if (last && belongsTo(speech, last.at(-1))) last.push(speech);
    else messages.push([speech]);
  }
  return messages;
}

/** Whether a speech goes on with what an earlier one began. */
export function belongsTo(speech: Speech, earlier: Speech | undefined): boolean {
  for (let take = speech.take.continues; take; take = take.continues) {
    if (take === earlier?.take) return true;
  }
  return false;
}

export interface MessageWord extends SpokenWord {
  /** How much of it the ear heard: 0 to 1. */
  readonly share: number;
}

/** Each word of the message once, on one time line of samples. A word that fell between two voices has no samples. */
export function wordsOfMessage(message: readonly Speech[], far: FarSide, nowMs: number): MessageWord[] {
  let offset = 0;
  return message.flatMap((speech, index) => {
    const { take } = speech;
    const next = message[index + 1]?.take;
    const shares = far.heardShares(speech, nowMs);
    const shift = offset;
    offset += take.delivered;
    const words = take.words.map(({ word, from, to }, at) => ({
      word,
      from: shift + (next ? Math.min(from, take.delivered) : from),
      to: shift + (next ? Math.min(to, take.delivered) : to),
      share: shares[at] ?? 0,
    }));
    return next ? words.slice(0, beginningOf(next.words, words)) : words;
  });
}

/** Where in `words` the successor's words begin. */
function beginningOf(successor: readonly SpokenWord[], words: readonly SpokenWord[]): number {
  const head = successor.slice(0, MATCHED_WORDS);
  for (let at = words.length; at >= 0; at--) {
    const here = words.slice(at, at + head.length);
    if (here.length > 0 && here.every(({ word }, index) => word === head[index]?.word)) return at;
  }
  return words.length;
}
