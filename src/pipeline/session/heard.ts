/** From how much audio was heard to how many characters of the spoken text that were. */
import type { HeardSpeech } from '../../media/playout.ts';
import type { Clause } from './state.ts';

/** A usual pace of synthetic speech, for audio without alignment of which the end is not known yet. */
const MS_PER_CHARACTER = 75;
/** Audio without text between two aligned words is a pause, up to this long. */
const LONGEST_PAUSE_MS = 400;
/** An aligned word is looked for this far ahead in the text: what lies before it had no alignment. */
const MAX_SKIPPED_CHARACTERS = 200;

/**
 * Non-whitespace characters of the clauses' spoken text that were heard: exact where the synthesiser gave alignment, in proportion
 * to the audio where it gave none.
 */
export function heardCharacters(heard: HeardSpeech | undefined, clauses: readonly Clause[]): number {
  if (!heard) return 0;
  const text = withoutSpaces(clauses.map(({ spoken }) => spoken).join(''));
  let at = 0;
  let aligned = false;
  let gap = { durationMs: 0, heardMs: 0 };
  for (const run of heard.runs) {
    const said = withoutSpaces(run.text ?? '');
    if (said === '') {
      gap = { durationMs: gap.durationMs + run.durationMs, heardMs: gap.heardMs + run.heardMs };
      continue;
    }
    const start = placeOf(said, text, at);
    if (run.heardMs <= 0) return at + share(start - at, gap.heardMs, gap.durationMs);
    at = start + share(said.length, run.heardMs, run.durationMs);
    if (run.heardMs < run.durationMs) return at;
    aligned = true;
    gap = { durationMs: 0, heardMs: 0 };
  }
  return at + charactersIn(gap, text.length - at, aligned, heard.finished);
}

/** Where an aligned text is, after `at`; a word that broke off is said again by the voice that goes on, and lies across `at`. */
function placeOf(said: string, text: string, at: number): number {
  for (let back = 0; back <= said.length && back <= at; back++) if (text.startsWith(said, at - back)) return at - back;
  const found = text.indexOf(said, at);
  return found >= 0 && found - at <= MAX_SKIPPED_CHARACTERS ? found : at;
}

/** How many of the `rest` characters were heard in the audio at the end that has no alignment. */
function charactersIn(
  gap: { readonly durationMs: number; readonly heardMs: number },
  rest: number,
  aligned: boolean,
  finished: boolean,
): number {
  if (aligned && gap.durationMs <= LONGEST_PAUSE_MS) return 0;
  return share(rest, gap.heardMs, finished ? gap.durationMs : Math.max(gap.durationMs, rest * MS_PER_CHARACTER));
}

function share(characters: number, heardMs: number, wholeMs: number): number {
  return wholeMs > 0 ? Math.floor(characters * Math.min(1, heardMs / wholeMs)) : 0;
}

function withoutSpaces(text: string): string {
  return text.replace(/\s+/gu, '');
}
