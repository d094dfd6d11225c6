/** Language-neutral cleaning: control characters, tags, entities, emoji, white space. */

/**
 * Keeps what can be read: control, format (bidi marks, zero-width space, soft hyphen), private and unassigned characters and halves
 * of surrogate pairs go; every kind of space becomes a plain one, except line breaks. Joiners stay where they join letters.
 */
export function cleanCharacters(text: string): string {
  return text
    .replace(/\r\n?|[\u0085\u2028\u2029\v\f]/g, '\n')
    .replace(/[\t\p{Zs}]+/gu, ' ')
    .replace(/(?<![\p{L}\p{M}])[\u200C\u200D]|[\u200C\u200D](?![\p{L}\p{M}])/gu, '')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}]/gu, (character) =>
      '\n\u200C\u200D'.includes(character) ? character : '',
    )
    .replace(/ {2,}/g, ' ');
}

/**
 * Takes HTML and SSML apart: tags go, their content stays, so no model can smuggle `<break/>` or `<voice>` to an engine that
 * listens to it. Entities become their character, except those that would make a new tag. Angle brackets that belong to no tag stay.
 */
export function stripTags(text: string): string {
  return text
    .replace(/&(amp|#38|#x26);/gi, ' & ')
    .replace(/&(?:nbsp|lt|gt|#\d{1,7}|#x[\da-f]{1,6});/gi, ' ')
    .replace(/&(?:quot|apos|#39);/gi, "'")
    .replace(/<!--[^<>]*-->/g, ' ')
    .replace(/<((?:https?:|mailto:)[^<>\s]*|[^<>\s@]+@[^<>\s@]+)>/gi, ' $1 ')
    .replace(/<br ?\/?>/gi, '\n')
    .replace(/<[/!?]?[a-z][^<>]*>/gi, ' ');
}

/** Emoji, flags, keycaps' frames, skin tones and typed smileys go. Signs that are words (©, ®, ™) stay. */
export function removeEmoji(text: string): string {
  return text
    .replace(
      /(?![©®™#*0-9])[\p{Extended_Pictographic}\p{Regional_Indicator}\p{Emoji_Modifier}\uFE00-\uFE0F\u20E3]/gu,
      ' ',
    )
    .replace(/(?<=^|\s)[:;=8][-^']?[)(\]DPpOo/|*](?=$|[\s.,!?])/g, ' ');
}
