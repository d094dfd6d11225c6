/** Signs in English text, and the alphabet of what may be spoken. */

const REPLACEMENTS: readonly (readonly [RegExp, string])[] = [
  [/(?<![\p{L}\p{N}])and ?\/ ?or(?![\p{L}\p{N}])/giu, 'and or'],
  [/(?<![\p{L}\p{N}])(s?he) ?\/ ?(s?he|they)(?![\p{L}\p{N}])/giu, '$1 or $2'],
  [/(?<=\p{L})\(e?s\)/gu, 's'],
  [/(?<![\p{L}\p{N}])([CF])#(?!\p{L})/gu, '$1 sharp'],
  [/(?<=\p{L})\+\+/gu, ' plus plus'],
  [/<=|≤/g, ' less than or equal to '],
  [/>=|≥/g, ' greater than or equal to '],
  [/!=|≠/g, ' not equal to '],
  [/(?<![-=–])[-=–]+>|[→⇒➔]/gu, ', '],
  [/<[-=–]+|[←⇐]/gu, ', '],
  [/(?<=[\p{L}\p{N}] ?)<(?= ?[\p{L}\p{N}])/gu, ' less than '],
  [/(?<=[\p{L}\p{N}] ?)>(?= ?[\p{L}\p{N}])/gu, ' greater than '],
  [/[~≈](?= ?[\p{L}\p{N}])/gu, ' about '],
  [/±|\+\/-/g, ' plus or minus '],
  [/&+/g, ' and '],
  [/%/g, ' percent '],
  [/‰/g, ' per mille '],
  [/(?<![\p{L}\p{N}])#(?=\p{L})/gu, ' hashtag '],
  [/\+/g, ' plus '],
  [/=/g, ' equals '],
  [/@/g, ' at '],
  [/[°º]/g, ' degrees '],
  [/§+/g, ' section '],
  [/¶/g, ' paragraph '],
  [/©/g, ' copyright '],
  [/[®™℠]/g, ' '],
  [/№/g, ' number '],
  [/×/g, ' times '],
  [/÷/g, ' divided by '],
  [/²/g, ' squared'],
  [/³/g, ' cubed'],
  [/\^(?= ?[\p{L}\p{N}])/gu, ' to the power of '],
  [/∞/g, ' infinity '],
  [/√/g, ' square root of '],
  [/π/g, ' pi '],
  [/µ/g, ' micro '],
  [/\$/g, ' dollar '],
  [/€/g, ' euro '],
  [/£/g, ' pound '],
  [/¥/g, ' yen '],
  [/¢/g, ' cent '],
  [/(?<=[\p{L}\p{N}]) ?\/ ?(?=[\p{L}\p{N}])/gu, ' slash '],
];

/** "R&B" → "R and B", "50% + 2" → "fifty percent plus two", "yes/no" → "yes slash no". */
export function speakSymbols(text: string): string {
  let spoken = text;
  for (const [pattern, replacement] of REPLACEMENTS) spoken = spoken.replace(pattern, replacement);
  return spoken;
}

/** Everything that is not spoken and does not shape how the rest is spoken. */
const OTHER = /[^\p{L}\p{M}\p{N}\s.,!?;:'"’‘“”„«»…。、，！？；：・「」『』،؛؟।॥۔¿¡-]/gu;

/**
 * The last step: brackets and free dashes become pauses, and of the rest only letters, marks, numbers and plain punctuation stay.
 * What it returns it would return again.
 */
export function keepSpeakable(text: string): string {
  const plain = text
    .replace(/(?<![)\]}\s])[)\]}\s]+$/, '')
    .replace(/[([{}\])|•·]| [-–—]+(?= )|[–—]+|--+/g, ', ')
    .replace(/(?<![\p{L}\p{M}])-|-(?![\p{L}\p{M}])/gu, ' ')
    .replace(OTHER, (character) => ('\u200C\u200D'.includes(character) ? character : ' '));
  return tidyPunctuation(plain);
}

function tidyPunctuation(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/ (?=[.,!?;:…])/g, '')
    .replace(/[,;:]+(?: ?[,;:])*(?=[.!?…])/g, '')
    .replace(/(?<=[!?…]|(?<!\.\p{L})\.)[,;:]+/gu, '')
    .replace(/([,;:])[,;:]+/g, '$1')
    .replace(/\.{2,}/g, (dots) => (dots.length === 2 ? '.' : '...'))
    .replace(/(?<=[,;:!?])(?=[\p{L}\p{N}])/gu, ' ')
    .replace(/^[\s.,;:!?…]+/, '')
    .trim();
}
