/** Makes any text readable to Flite, which knows ASCII only; pure. */

const REPLACEMENTS: readonly (readonly [RegExp, string])[] = [
  [/[‘’‚‛′]/g, "'"],
  [/[“”„‟″«»]/g, '"'],
  [/[‐‑‒]/g, '-'],
  [/[–—―]|--+/g, ', '],
  [/…/g, '.'],
  [/€\s*(\d[\d.,]*\d|\d)/g, '$1 euros'],
  [/£\s*(\d[\d.,]*\d|\d)/g, '$1 pounds'],
  [/°/g, ' degrees '],
  [/ß/g, 'ss'],
  [/[æÆ]/g, 'ae'],
  [/[œŒ]/g, 'oe'],
  [/[øØ]/g, 'o'],
];

/** ASCII with single spaces, accents dropped, markup and symbols that are not speech removed; empty if nothing is left. */
export function toSpokenAscii(text: string): string {
  let spoken = text.normalize('NFC');
  for (const [pattern, replacement] of REPLACEMENTS) spoken = spoken.replace(pattern, replacement);
  spoken = spoken
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^\x20-\x7e]/g, ' ')
    .replace(/[*_`~^|<>{}[\]\\]/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return /[A-Za-z0-9]/.test(spoken) ? spoken : '';
}

/** The pause that belongs after a clause, before the next clause of the same utterance. */
export function pauseAfterMs(text: string): number {
  const end =
    text
      .trimEnd()
      .replace(/["')\]]+$/, '')
      .at(-1) ?? '';
  if ('.?!…'.includes(end) && end !== '') return 250;
  if (',;:–—-'.includes(end) && end !== '') return 120;
  return 30;
}
