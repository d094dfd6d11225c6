/** English abbreviations as words. */

/** With their full stop only: without it they are words or names. */
const WITH_STOP: Readonly<Record<string, string>> = {
  Mr: 'Mister',
  Mrs: 'Missus',
  Ms: 'Miz',
  Prof: 'Professor',
  Rev: 'Reverend',
  Hon: 'Honorable',
  Gen: 'General',
  Col: 'Colonel',
  Sgt: 'Sergeant',
  Capt: 'Captain',
  Lt: 'Lieutenant',
  Sen: 'Senator',
  Rep: 'Representative',
  Gov: 'Governor',
  Pres: 'President',
  Messrs: 'Messieurs',
  Jr: 'Junior',
  Sr: 'Senior',
  Inc: 'Incorporated',
  Ltd: 'Limited',
  Corp: 'Corporation',
  Co: 'Company',
  Bros: 'Brothers',
  Ave: 'Avenue',
  Blvd: 'Boulevard',
  Rd: 'Road',
  Ln: 'Lane',
  Hwy: 'Highway',
  Sq: 'Square',
  Apt: 'Apartment',
  Mt: 'Mount',
  Ft: 'Fort',
  Dept: 'Department',
  dept: 'department',
  approx: 'approximately',
  Approx: 'Approximately',
  etc: 'et cetera',
  vs: 'versus',
  cf: 'compare',
  est: 'estimated',
  incl: 'including',
  excl: 'excluding',
  max: 'maximum',
  min: 'minimum',
  tel: 'telephone',
  Tel: 'Telephone',
  misc: 'miscellaneous',
  vol: 'volume',
  Vol: 'Volume',
  fig: 'figure',
  Fig: 'Figure',
  ext: 'extension',
  temp: 'temperature',
  appt: 'appointment',
  ca: 'circa',
};
/** With or without. */
const WITHOUT_STOP: Readonly<Record<string, string>> = {
  vs: 'versus',
  etc: 'et cetera',
  approx: 'approximately',
  Mr: 'Mister',
  Mrs: 'Missus',
  Blvd: 'Boulevard',
  dept: 'department',
  Ave: 'Avenue',
  misc: 'miscellaneous',
};
/** A title or the like: always followed by a name, so its stop never ends the sentence. */
const BEFORE_NAMES = new Set(
  'Mr Mrs Ms Prof Rev Hon Gen Col Sgt Capt Lt Sen Rep Gov Pres Messrs Mt Ft vs cf approx Approx ca'.split(' '),
);

const words = (table: Readonly<Record<string, string>>) =>
  Object.keys(table)
    .sort((a, b) => b.length - a.length)
    .join('|');
const LEFT = String.raw`(?<![\p{L}\p{N}.])`;
const STOPPED = new RegExp(String.raw`${LEFT}(${words(WITH_STOP)})\.(?![\p{L}\p{N}])`, 'gu');
const UNSTOPPED = new RegExp(String.raw`${LEFT}(${words(WITHOUT_STOP)})(?![\p{L}\p{N}.’'-])`, 'gu');
const LATIN: readonly (readonly [RegExp, string])[] = [
  [/(?<![\p{L}\p{N}.])e\.? ?g\.(?:,(?= ))?(?![\p{L}\p{N}])/giu, 'for example'],
  [/(?<![\p{L}\p{N}.])i\. ?e\.(?:,(?= ))?(?![\p{L}\p{N}])/giu, 'that is'],
  [/(?<![\p{L}\p{N}.])a\.k\.a\.?(?![\p{L}\p{N}])/giu, 'also known as'],
  [/(?<![\p{L}\p{N}.])P\.? ?O\.? (?=Box)/gu, 'P O '],
  [/(?<![\p{L}\p{N}.])w\/o(?![\p{L}\p{N}])/giu, 'without'],
  [/(?<![\p{L}\p{N}.])w\/(?= ?\p{L})/giu, 'with '],
  [/(?<![\p{L}\p{N}.])n\/a(?![\p{L}\p{N}])/giu, 'not applicable'],
];
const DOCTOR = /(?<![\p{L}\p{N}.])Dr(?:\.|(?= \p{Lu}))/gu;
const SAINT = /(?<![\p{L}\p{N}.])St(?:\.|(?= \p{Lu}))/gu;

/** Before numbers are read: "No. 5" → "number 5", "pp. 3" → "pages 3". */
export function expandNumbered(text: string): string {
  return text
    .replace(
      /(?<![\p{L}\p{N}.])(n)o(s?)\. ?(?=\d)/giu,
      (_, n: string, many: string) => `${n === 'N' ? 'N' : 'n'}umber${many && 's'} `,
    )
    .replace(/(?<![\p{L}\p{N}.])pp\. ?(?=\d)/gu, 'pages ')
    .replace(/(?<![\p{L}\p{N}.])p\. ?(?=\d)/gu, 'page ');
}

/** "Dr. Smith" → "Doctor Smith", "Main St." → "Main Street.", "St. John" → "Saint John", "e.g." → "for example", "vs." → "versus". */
export function expandAbbreviations(text: string): string {
  let expanded = text;
  for (const [pattern, replacement] of LATIN) expanded = expanded.replace(pattern, replacement);
  return streetOr(streetOr(expanded, DOCTOR, 'Doctor', 'Drive'), SAINT, 'Saint', 'Street')
    .replace(STOPPED, (whole: string, word: string, offset: number, all: string) => {
      const ends =
        !BEFORE_NAMES.has(word) && mayEndSentence(all.slice(offset + whole.length, offset + whole.length + 4));
      return `${WITH_STOP[word] ?? word}${ends ? '.' : ''}`;
    })
    .replace(UNSTOPPED, (_, word: string) => WITHOUT_STOP[word] ?? word);
}

/** Whether a sentence that an abbreviation's stop may end does end there, by what follows the stop. */
function mayEndSentence(following: string): boolean {
  return /^["'”’)]*(?:$| ["'“‘(]?\p{Lu})/u.test(following);
}

/** "Dr" and "St" are streets after a capitalised word ("Main St."), people otherwise. */
function streetOr(text: string, pattern: RegExp, person: string, street: string): string {
  return text.replace(pattern, (whole: string, offset: number) => {
    const before = text.slice(Math.max(0, offset - 24), offset);
    const after = text.slice(offset + whole.length, offset + whole.length + 3);
    const namesPerson = /^ ?\p{Lu}/u.test(after);
    const afterName =
      /(?:^|[^\p{L}])\p{Lu}[\p{L}'’]+ $/u.test(before) && !/(?:^|[.!?] )\p{Lu}[\p{L}'’]+ $/u.test(before);
    const isStreet = afterName || !namesPerson;
    if (!isStreet) return person;
    const endsSentence = whole.endsWith('.') && (after.trim() === '' || namesPerson);
    return street + (endsSentence ? '.' : '');
  });
}
