/** From how much audio was heard to how many characters of the spoken text that were. */
import type { Heard } from '../../media/playout.ts';
import type { Clause } from './state.ts';

/** A usual pace of synthetic speech, for audio without alignment of which the end is not known yet. */
const MS_PER_CHARACTER = 75;

/**
 * Non-whitespace characters of the clauses' spoken text that were heard: exact where the synthesiser gave alignment, in proportion
 * to the audio otherwise.
 */
export function heardCharacters(heard: Heard | undefined, clauses: readonly Clause[]): number {
  if (!heard) return 0;
  if (heard.heardCharacters !== undefined) return heard.heardCharacters;
  const total = clauses.reduce((sum, { spoken }) => sum + spoken.replace(/\s+/gu, '').length, 0);
  const wholeMs = heard.finished ? heard.pushedMs : Math.max(heard.pushedMs, total * MS_PER_CHARACTER);
  return wholeMs > 0 ? Math.floor(total * Math.min(1, heard.heardMs / wholeMs)) : 0;
}
