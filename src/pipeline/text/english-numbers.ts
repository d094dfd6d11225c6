/** English number words: cardinals, ordinals, years, digits. Own code because it is small and no library gives all four, in both dialects. */

/** How English is read. */
export interface EnglishStyle {
  /** "one hundred and five", kilometres, 22/11: British and most other English; American leaves out the "and". */
  readonly british: boolean;
}

const SMALL =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'.split(
    ' ',
  );
const TENS = '- - twenty thirty forty fifty sixty seventy eighty ninety'.split(' ');
const SCALES = ['', ' thousand', ' million', ' billion', ' trillion'];
const IRREGULAR_ORDINALS: Readonly<Record<string, string>> = {
  one: 'first',
  two: 'second',
  three: 'third',
  five: 'fifth',
  eight: 'eighth',
  nine: 'ninth',
  twelve: 'twelfth',
};
/** More digits than this are read one by one. */
const MAX_CARDINAL_DIGITS = 15;

/** 0 to 99. */
function belowHundred(value: number): string {
  if (value < 20) return SMALL[value] ?? '';
  const tens = TENS[Math.floor(value / 10)] ?? '';
  return value % 10 === 0 ? tens : `${tens}-${SMALL[value % 10]}`;
}

function belowThousand(value: number, and: string): string {
  const hundreds = Math.floor(value / 100);
  const rest = value % 100;
  if (hundreds === 0) return belowHundred(rest);
  return `${SMALL[hundreds]} hundred${rest === 0 ? '' : `${and} ${belowHundred(rest)}`}`;
}

/** `digits`: a whole number of ASCII digits, commas allowed. "1234" → "one thousand two hundred thirty-four". */
export function cardinal(digits: string | number, style: EnglishStyle): string {
  const plain = String(digits).replace(/,/g, '');
  if (plain.length > MAX_CARDINAL_DIGITS) return spellDigits(plain);
  let value = Number(plain);
  if (value === 0) return 'zero';
  const and = style.british ? ' and' : '';
  const groups: string[] = [];
  for (let scale = 0; value > 0; scale++, value = Math.floor(value / 1000)) {
    const group = value % 1000;
    if (group === 0) continue;
    const tail = scale === 0 && group < 100 && value > 1000 ? and.trimStart() : '';
    groups.unshift(`${tail === '' ? '' : `${tail} `}${belowThousand(group, and)}${SCALES[scale]}`);
  }
  return groups.join(' ');
}

/** "22" → "twenty-second". */
export function ordinal(digits: string | number, style: EnglishStyle): string {
  const words = cardinal(digits, style);
  const start = Math.max(words.lastIndexOf(' '), words.lastIndexOf('-')) + 1;
  const last = words.slice(start);
  const irregular = IRREGULAR_ORDINALS[last];
  const regular = last.endsWith('y') ? `${last.slice(0, -1)}ieth` : `${last}th`;
  return words.slice(0, start) + (irregular ?? regular);
}

/** 1000 to 2099 as a year: "1999" → "nineteen ninety-nine", "1905" → "nineteen oh five", "2005" → "two thousand five". */
export function yearWords(year: number, style: EnglishStyle): string {
  const century = Math.floor(year / 100);
  const rest = year % 100;
  if (year % 1000 < 10) return cardinal(year, style);
  if (rest === 0) return `${belowHundred(century)} hundred`;
  return `${belowHundred(century)} ${rest < 10 ? `oh ${SMALL[rest]}` : belowHundred(rest)}`;
}

/** "1990" → "nineteen nineties", "80" → "eighties", "2000" → "two thousands". */
export function decadeWords(digits: string, style: EnglishStyle): string {
  const words = digits.length === 4 ? yearWords(Number(digits), style) : belowHundred(Number(digits));
  return words.endsWith('y') ? `${words.slice(0, -1)}ies` : `${words}s`;
}

/** Digit by digit: "010" → "zero one zero". Anything else in `digits` is skipped. */
export function spellDigits(digits: string): string {
  const words: string[] = [];
  for (const digit of digits) {
    const word = digit >= '0' && digit <= '9' ? SMALL[Number(digit)] : undefined;
    if (word !== undefined) words.push(word);
  }
  return words.join(' ');
}

/** A run of digits inside a name or a code: one or two as a number, more one by one. "66" → "sixty-six", "365" → "three six five". */
export function codeDigits(digits: string, style: EnglishStyle): string {
  return digits.length > 2 || digits.startsWith('0') ? spellDigits(digits) : cardinal(digits, style);
}

/** "1,234.5" → "one thousand two hundred thirty-four point five"; ".5" → "point five"; "007" → "zero zero seven". */
export function decimal(amount: string, style: EnglishStyle): string {
  const [whole = '', fraction = ''] = amount.split('.');
  const wholeWords = whole === '' ? '' : /^0\d/.test(whole) ? spellDigits(whole) : cardinal(whole, style);
  return fraction === '' ? wholeWords : `${wholeWords} point ${spellDigits(fraction)}`.trimStart();
}

/** Digits in groups of three and a last one of up to four, with a pause between: "5550100199" → "five five five, zero one zero, …". */
export function digitGroups(digits: string): string {
  const groups: string[] = [];
  let rest = digits;
  while (rest.length > 4) {
    groups.push(rest.slice(0, 3));
    rest = rest.slice(3);
  }
  groups.push(rest);
  return groups.map(spellDigits).join(', ');
}
