/**
 * The agent's own voice comes back from a loudspeaker, and the recogniser takes it for the caller's. A listener can repeat words only
 * when they have heard them; an echo begins while they are still being said.
 */
import type { HeardSpeech } from '../../../media/playout.ts';
import { normaliseTranscript } from '../../text/normalise.ts';
import { heardCharacters } from '../heard.ts';
import { isAlike } from '../known-words.ts';
import type { CallerTurn, Clause } from '../state.ts';
import { TRANSCRIPT_DEADLINE_MS, turnText } from './endpointing.ts';

/** From the far end's buffer to the caller's loudspeaker and back. */
const ROUND_TRIP_MS = 600;
/** A recogniser hears most of the words of an echo, not all. */
const SAME_SHARE = 0.8;
/** Fewer words than that the caller may have said by chance while the agent did. */
const TELLING_WORDS = 3;

const REST_OF_WORD = /^\S*/u;
/** Where the words are in the audio is not known to the letter. */
const ONE_MORE_WORD = /^\S*\s*\S*/u;

/** What the agent was saying while the caller's line sounded. */
export interface Overlap {
  /** When the sound began. */
  readonly sinceMs: number;
  readonly atMs: number;
  /** What had been heard of the reply `atMs`. */
  readonly heard: HeardSpeech;
  readonly clauses: readonly Clause[];
  /** The line has been found to echo. */
  readonly isKnown: boolean;
}

/** Adds that the line sounds at `nowMs`, when so much of the reply has been heard. */
export function observeOverlap(
  overlap: Overlap | undefined,
  turn: CallerTurn,
  heard: HeardSpeech | undefined,
  clauses: readonly Clause[],
  isKnown: boolean,
  nowMs: number,
): Overlap | undefined {
  if (heard === undefined || turn.voice.type !== 'speaking') return overlap;
  const { startedAtMs } = turn.voice;
  // Words of the sound before may still be to come.
  const isDue = turnText(turn) !== '' || (isKnown && startedAtMs - (overlap?.atMs ?? 0) < TRANSCRIPT_DEADLINE_MS);
  const goesOn = overlap?.heard.generation === heard.generation && isDue;
  const sinceMs = goesOn ? Math.min(overlap.sinceMs, startedAtMs) : startedAtMs;
  return { sinceMs, atMs: nowMs, heard, clauses, isKnown };
}

/** Whether the words are those that the agent was saying, as far as a recogniser hears them. Words of no overlap never are. */
export function isEcho(text: string, overlap: Overlap | undefined): boolean {
  const words = wordsOf(text);
  // Digits may be keys.
  if (overlap === undefined || words.length === 0 || /^[\d*#\s]+$/u.test(text)) return false;
  const soundedMs = overlap.atMs - overlap.sinceMs;
  const said = wordsSaid(overlap, soundedMs + ROUND_TRIP_MS, 0, ONE_MORE_WORD);
  if (!isAmong(words, said) && !isAmong(withoutPart(words, said), said)) return false;
  if (overlap.isKnown || words.length >= TELLING_WORDS) return true;
  // What comes back was begun before the sound was.
  const begun = wordsSaid(overlap, soundedMs + ROUND_TRIP_MS, soundedMs);
  return begun.some((word) => isAlike(word, words[0] ?? ''));
}

/** What the agent said from so long before until so long before what had been heard last, in whole words. */
function wordsSaid({ heard, clauses }: Overlap, fromAgoMs: number, toAgoMs: number, rest = REST_OF_WORD): string[] {
  const spoken = clauses.map((clause) => clause.spoken).join('');
  const from = placeOf(spoken, heardCharacters(before(heard, fromAgoMs), clauses));
  const to = placeOf(spoken, heardCharacters(before(heard, toAgoMs), clauses));
  const isWithinWord = /\S\S/u.test(spoken.slice(Math.max(0, from - 1), from + 1));
  const beginning = isWithinWord ? (/^\S*/u.exec(spoken.slice(from))?.[0].length ?? 0) : 0;
  if (to <= from + beginning) return [];
  return wordsOf(spoken.slice(from + beginning, to) + (rest.exec(spoken.slice(to))?.[0] ?? ''));
}

/** How much of it had been heard `agoMs` before. */
function before(heard: HeardSpeech, agoMs: number): HeardSpeech {
  let leftMs = agoMs;
  const runs = heard.runs.toReversed().map((run) => {
    const lessMs = Math.min(run.heardMs, leftMs);
    leftMs -= lessMs;
    return { ...run, heardMs: run.heardMs - lessMs };
  });
  return { ...heard, heardMs: Math.max(0, heard.heardMs - agoMs), runs: runs.toReversed() };
}

/** Where in a text so many of its characters that are no white space end. */
function placeOf(text: string, characters: number): number {
  let left = characters;
  let at = 0;
  while (at < text.length && left > 0) if (/\S/u.test(text.charAt(at++))) left--;
  return at;
}

/** Without a last word that was cut off with the agent: it is heard as its beginning, or as another word. */
function withoutPart(words: readonly string[], said: readonly string[]): readonly string[] {
  const last = words.at(-1) ?? '';
  const isPart = words.length >= TELLING_WORDS || said.some((word) => word.startsWith(last));
  return isPart && words.length > 1 ? words.slice(0, -1) : words;
}

function isAmong(words: readonly string[], said: readonly string[]): boolean {
  return wordsInOrder(words, said) >= SAME_SHARE * words.length;
}

/** How many of the words follow each other in that order in the words said: the longest common subsequence. */
function wordsInOrder(words: readonly string[], said: readonly string[]): number {
  let best = Array.from({ length: said.length + 1 }, () => 0);
  for (const word of words) {
    const next = [0];
    for (const [index, other] of said.entries()) {
      const same = isAlike(word, other) ? (best[index] ?? 0) + 1 : 0;
      next.push(Math.max(same, best[index + 1] ?? 0, next[index] ?? 0));
    }
    best = next;
  }
  return best.at(-1) ?? 0;
}

function wordsOf(text: string): string[] {
  const normalised = normaliseTranscript(text);
  return normalised === '' ? [] : normalised.split(' ');
}
