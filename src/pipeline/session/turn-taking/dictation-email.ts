/** E-mail addresses as they are said: "jane dot doe at example dot com", or as a formatting recogniser writes them. */
import type { Dictation } from './dictation.ts';

const TOP_LEVEL = 'com|org|net|edu|gov|info|biz|io|ai|app|dev|de|at|ch|eu|fr|es|nl|uk|us|ca|au|ie|nz|in|me';
const WRITTEN = /(?:^|\s)[\w.+%-]+@(?<domain>[\w.-]*)$/u;
const WRITTEN_WHOLE = new RegExp(String.raw`^[\w-]+(?:\.[\w-]+)*\.(?:${TOP_LEVEL})$`, 'u');
/** "dot com", "punkt de"; not "dot co", which goes on in "dot uk". */
const SPOKEN_WHOLE = new RegExp(String.raw`(?:^|\s)(?:dot|point|punkt|\.) ?(?:${TOP_LEVEL})$`, 'u');
/** Words that nobody says but in an address. */
const ADDRESS_WORD =
  /(?:^|\s)(?:dot|underscore|at sign|at (?:gmail|hotmail|outlook|yahoo|icloud|proton ?mail|aol|gmx|web)|punkt|unterstrich|klammeraffe|minuszeichen|bindestrich)(?=\s|$)/u;
/** How many words ago such a word still means that an address is being said. */
const REACH_WORDS = 6;
const ANNOUNCED =
  /\be-?mail(?: address| adresse)?(?: is|'s| ist| lautet|:) (?!not\b|no\b|wrong\b|still\b|the\b|on\b|in\b|correct\b|right\b|fine\b|down\b|broken\b|nicht\b|falsch\b|die\b|richtig\b)(?<address>\S.*)$/u;

/** Whether the tail of `text` (in lower case) is an address, whole or not. */
export function dictatesEmail(text: string): Dictation {
  const written = WRITTEN.exec(text);
  if (written !== null) return WRITTEN_WHOLE.test(written.groups?.['domain'] ?? '') ? 'complete' : 'dictating';
  const announced = ANNOUNCED.exec(text)?.groups?.['address'];
  const tail = text.split(' ').slice(-REACH_WORDS).join(' ');
  const inAddress = ADDRESS_WORD.test(tail) || (announced !== undefined && announced.split(' ').length <= REACH_WORDS);
  if (!inAddress || /@/u.test(tail)) return 'none';
  if (SPOKEN_WHOLE.test(text)) return 'complete';
  // Words after a whole address: the caller talks on about something else.
  return new RegExp(String.raw`(?:dot|punkt) (?:${TOP_LEVEL}) `, 'u').test(tail) ? 'none' : 'dictating';
}
