/** From how much audio was heard to how many characters of the spoken text that were. */
import type { Heard } from '../../media/playout.ts';
import type { Clause } from './state.ts';

/** A usual pace of synthetic speech, for audio without alignment of which the end is not known yet. */
const MS_PER_CHARACTER = 75;

/**
 * Non-whitespace characters of the clauses' spoken text that were heard: exact where the synthesiser gave alignment; text that no
 * alignment accounts for is spread over the audio that has none.
 */
export function heardCharacters(heard: Heard | undefined, clauses: readonly Clause[]): number {
  if (!heard) return 0;
  const total = clauses.reduce((sum, { spoken }) => sum + spoken.replace(/\s+/gu, '').length, 0);
  const unaligned = Math.max(0, total - heard.alignedCharacters);
  const wholeMs = heard.finished ? heard.unalignedMs : Math.max(heard.unalignedMs, unaligned * MS_PER_CHARACTER);
  if (wholeMs <= 0 || heard.heardUnalignedMs <= 0) return heard.heardCharacters;
  return heard.heardCharacters + Math.floor(unaligned * Math.min(1, heard.heardUnalignedMs / wholeMs));
}
