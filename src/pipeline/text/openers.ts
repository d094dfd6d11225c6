/**
 * "Certainly.", "Yes, of course.": sentences that replies begin with and that are whole without a look at what follows. Elsewhere a
 * full stop may belong to a number, a name or an address, and only the next word tells; that word is 10 to 20 ms away, and the
 * caller waits for all of them.
 */

/**
 * Words of agreement, thanks and greeting. None is an abbreviation, none is usually drawn out with dots ("well...", "let me see..."),
 * and no address or file is called by one.
 */
const WORDS: Readonly<Record<string, ReadonlySet<string>>> = {
  en: new Set(
    (
      'yes yeah yep sure certainly absolutely definitely exactly indeed of course okay ok alright all right great good perfect ' +
      'wonderful excellent fantastic thanks thank you very much welcome hello hi hey no not a problem worries my pleasure with ' +
      "understood got it that is that's you're correct sorry i am i'm so morning afternoon evening happy to help"
    ).split(' '),
  ),
  de: new Set(
    (
      'ja gerne gern natürlich klar na sicher selbstverständlich genau richtig gut sehr alles in ordnung danke vielen dank schön ' +
      'hallo guten morgen tag abend verstanden kein keine problem ursache das ist perfekt prima einverstanden bitte entschuldigung'
    ).split(' '),
  ),
};
/** "No. 5" is a number, whatever stands before it. */
const NOT_LAST: ReadonlySet<string> = new Set(['no']);
const SENTENCE = /^\s*([\p{L}'’]+(?:,? [\p{L}'’]+){0,7})[.!]/u;

/** The length of the opener with which a text begins, its mark included; undefined if it begins with none, or not yet. */
export function openerLength(text: string, language: string): number | undefined {
  const known = WORDS[(language.split('-', 1)[0] ?? '').toLowerCase()];
  const found = SENTENCE.exec(text);
  if (!known || !found) return undefined;
  const words = (found[1] ?? '').toLowerCase().replaceAll('’', "'").split(/,? /u);
  if (NOT_LAST.has(words.at(-1) ?? '') || !words.every((word) => known.has(word))) return undefined;
  return found[0].length;
}
