/** Finds the run of digits and single letters at the end of an utterance. */

/** What is said character by character, or as a number, at the end of an utterance. */
export interface DictatedRun {
  /** The text before the run, trimmed. */
  readonly before: string;
  readonly language: string;
  readonly digits: number;
  readonly letters: number;
  /** The run written together, `#` for each digit that was not given as a numeral. */
  readonly characters: string;
  /** Digits in each part of the run, as the recogniser or the caller grouped them. */
  readonly groups: readonly number[];
  /** A formatting recogniser grouped them ("555-0123"), rather than the caller saying one by one. */
  readonly separated: boolean;
  readonly lastWord: string;
  /** It can be a number that counts something, a time or a year: "five", "twenty three", "5:30", "1984". */
  readonly isQuantity: boolean;
}

interface Token {
  readonly word: string;
  readonly kind: 'letter' | 'unit' | 'teen' | 'ten' | 'scale' | 'numeral' | 'repeat';
  readonly characters: string;
  /** Digits only; a letter has none. */
  readonly digits: number;
}

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));
const UNITS: Readonly<Record<string, ReadonlySet<string>>> = {
  en: words('zero oh one two three four five six seven eight nine nought'),
  de: words('null eins zwei zwo drei vier fünf sechs sieben acht neun'),
  es: words('cero uno dos tres cuatro cinco seis siete ocho nueve'),
  fr: words('zéro un deux trois quatre cinq six sept huit neuf'),
  it: words('zero uno due tre quattro cinque sei sette otto nove'),
  pt: words('zero um dois três quatro cinco seis meia sete oito nove'),
  nl: words('nul een één twee drie vier vijf zes zeven acht negen'),
};
const TEENS: Readonly<Record<string, ReadonlySet<string>>> = {
  en: words('ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'),
  de: words('zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn'),
  es: words('diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve'),
  fr: words('dix onze douze treize quatorze quinze seize'),
  it: words('dieci undici dodici tredici quattordici quindici sedici diciassette diciotto diciannove'),
  pt: words(
    'dez onze doze treze catorze quatorze quinze dezesseis dezasseis dezessete dezassete dezoito dezenove dezanove',
  ),
  nl: words('tien elf twaalf dertien veertien vijftien zestien zeventien achttien negentien'),
};
const TENS: Readonly<Record<string, ReadonlySet<string>>> = {
  en: words('twenty thirty forty fifty sixty seventy eighty ninety'),
  de: words('zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig'),
  es: words('veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa'),
  fr: words('vingt trente quarante cinquante soixante'),
  it: words('venti trenta quaranta cinquanta sessanta settanta ottanta novanta'),
  pt: words('vinte trinta quarenta cinquenta sessenta setenta oitenta noventa'),
  nl: words('twintig dertig veertig vijftig zestig zeventig tachtig negentig'),
};
const SCALES: Readonly<Record<string, ReadonlySet<string>>> = {
  en: words('hundred thousand'),
  de: words('hundert tausend'),
};
/** "dreiundzwanzig", "vierendertig", "quatre-vingt-dix-huit". */
const COMPOUNDS: Readonly<Record<string, RegExp>> = {
  de: /^(?:ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun)und(?:zwanzig|dreißig|\p{L}{3,5}zig)$/u,
  nl: /^(?:een|twee|drie|vier|vijf|zes|zeven|acht|negen)[eë]n(?:twintig|dertig|veertig|vijftig|zestig|zeventig|tachtig|negentig)$/u,
  fr: /^(?:vingt|trente|quarante|cinquante|soixante|quatre-vingts?)(?:-\p{L}+)*$/u,
};
const REPEATS = words('double triple doppel');
/** Spelling alphabets: NATO's, and the German one where it differs. */
const ALPHABET = words(
  'alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa quebec romeo sierra ' +
    'tango uniform victor whiskey whisky xray x-ray yankee zulu anton berta cäsar dora emil friedrich gustav heinrich ida julius kaufmann ' +
    'konrad ludwig martha nordpol otto paula quelle richard samuel siegfried theodor ulrich viktor wilhelm xanthippe ypsilon zeppelin',
);
/** Letters that are read out and still are a word. */
const INITIALISMS = words('us uk tv id atm pc usa eu faq vip dvd cv gp mri it er usb am pm ok pin');
/** "b as in bravo", "m for mother", "b wie berta". */
const LETTER_EXPLAINED = /(?:^|\s)(?:\p{L}|double \p{L}) (?:as in|for|like|wie) [\p{L}-]+$/u;

/** The run at the end of `text` (in lower case); undefined if the text does not end in one. */
export function readRun(text: string, language: string): DictatedRun | undefined {
  if (LETTER_EXPLAINED.test(text)) return explainedLetter(text, language);
  const parts = text.split(/[\s,]+/u).flatMap(splitToken);
  const tokens: Token[] = [];
  let start = parts.length;
  while (start > 0) {
    const token = readToken(parts[start - 1] ?? '', language);
    if (token === undefined) break;
    tokens.unshift(token);
    start--;
  }
  // "I 5 5 …": a pronoun or an article at the edge is no spelled letter.
  while (tokens.length > 0 && isEdgeWord(tokens)) {
    tokens.shift();
    start++;
  }
  return tokens.length === 0 ? undefined : describe(tokens, parts.slice(0, start).join(' '), language);
}

function explainedLetter(text: string, language: string): DictatedRun {
  const lastWord = text.split(' ').at(-1) ?? '';
  const facts = { before: '', language, digits: 0, letters: 1, characters: lastWord.charAt(0) };
  return { ...facts, groups: [], separated: false, lastWord, isQuantity: false };
}

/** "555-0123", "s-m-i", "(415)", "+1", "5:30": what a formatting recogniser joins. */
function splitToken(token: string): string[] {
  if (ALPHABET.has(token) || COMPOUNDS['fr']?.test(token)) return [token];
  const bare = token.replace(/^[("'+#]+|[)"';]+$/gu, '');
  const isJoined = /^[\d.-]+$/u.test(bare) || /^\p{L}(?:[-.]\p{L})+\.?$/u.test(bare) || /^\p{L}+-\p{L}+$/u.test(bare);
  return isJoined ? bare.split(/[-.]/u).filter((part) => part !== '') : [bare];
}

function readToken(word: string, language: string): Token | undefined {
  if (/^\d+$/u.test(word)) return { word, kind: 'numeral', characters: word, digits: word.length };
  if (/^\d{1,2}:\d{2}$/u.test(word)) return { word, kind: 'numeral', characters: word.replace(':', ''), digits: 4 };
  if (/^\p{L}$/u.test(word)) return { word, kind: 'letter', characters: word, digits: 0 };
  // "sw1a", "ab12": letters and digits in one.
  if (/^(?=.*\d)[a-z\d]{2,8}$/u.test(word) && !/^\d+(?:st|nd|rd|th|am|pm|h|k|m)$/u.test(word)) {
    return { word, kind: 'letter', characters: word, digits: word.replace(/\D/gu, '').length };
  }
  if (ALPHABET.has(word)) return { word, kind: 'letter', characters: word.charAt(0), digits: 0 };
  if (REPEATS.has(word)) return { word, kind: 'repeat', characters: '', digits: 0 };
  const spoken = (kind: 'unit' | 'teen' | 'ten' | 'scale', digits: number): Token => ({
    word,
    kind,
    characters: '#'.repeat(digits),
    digits,
  });
  if (UNITS[language]?.has(word)) return spoken('unit', 1);
  if (TEENS[language]?.has(word)) return spoken('teen', 2);
  if (TENS[language]?.has(word)) return spoken('ten', 2);
  if (COMPOUNDS[language]?.test(word)) return spoken('teen', 2);
  if (SCALES[language]?.has(word)) return spoken('scale', 2);
  return undefined;
}

/** The first token is a word of the sentence, not of the run. */
function isEdgeWord(tokens: readonly Token[]): boolean {
  const [first, second] = tokens;
  if (first === undefined) return false;
  if (first.kind === 'scale') return second === undefined;
  // "I", "a", "o" before anything but another letter; one letter or one word of an alphabet alone is a word ("plan b", "hotel").
  if (first.kind === 'letter' && first.digits === 0) {
    if (second === undefined) return true;
    return /^[aio]$/u.test(first.word) && second.kind !== 'letter';
  }
  return first.kind === 'repeat' && second === undefined ? first.word !== 'double' && first.word !== 'triple' : false;
}

function describe(tokens: readonly Token[], before: string, language: string): DictatedRun | undefined {
  const letters = tokens.reduce(
    (sum, token) => sum + (token.kind === 'letter' ? token.characters.length - token.digits : 0),
    0,
  );
  const spelled = tokens.map(({ characters }) => characters).join('');
  if (letters > 0 && tokens.every(({ kind }) => kind === 'letter') && INITIALISMS.has(spelled)) return undefined;
  if (/^(?:#|\d)+[ap]m$/u.test(spelled)) return undefined;
  const groups = groupDigits(tokens);
  return {
    before,
    language,
    digits: groups.reduce((sum, digits) => sum + digits, 0),
    letters,
    characters: spelled,
    groups,
    separated: tokens.length > 1 && tokens.some(({ kind, digits }) => kind === 'numeral' && digits > 1),
    lastWord: tokens.at(-1)?.word ?? '',
    isQuantity: letters === 0 && isQuantity(tokens, language),
  };
}

/** "twenty three" is two digits, "eight hundred" three, "double five" two. */
function groupDigits(tokens: readonly Token[]): number[] {
  const groups: number[] = [];
  let previous: Token | undefined;
  for (const token of tokens) {
    const last = groups.length - 1;
    if (previous?.kind === 'ten' && token.kind === 'unit') {
      // The unit takes the place of the ten's zero.
    } else if (previous?.kind === 'repeat') groups.push(token.digits * (previous.word === 'triple' ? 3 : 2));
    else if (token.kind === 'scale' && last >= 0)
      groups[last] = (groups[last] ?? 0) + (/^(?:hund)/u.test(token.word) ? 2 : 3);
    else if (token.digits > 0) groups.push(token.digits);
    previous = token;
  }
  return groups;
}

/** Whether the tokens are one number as one says it of amounts, times and years, not digit after digit. */
function isQuantity(tokens: readonly Token[], language: string): boolean {
  const kinds = tokens.map(({ kind }) => kind).join(' ');
  const [first] = tokens;
  if (first === undefined) return false;
  if (
    tokens.some(({ word, kind }) => kind === 'unit' && /^(?:zero|oh|nought|null|zwo)$/u.test(word)) &&
    tokens.length > 1
  )
    return false;
  if (kinds === 'numeral') return isQuantityNumeral(first.characters);
  // "seven forty five", "nineteen eighty four", "two thousand twelve", "five thirty"; German compounds are teens here.
  if (/\bscale\b/u.test(kinds)) return /^(?:unit|teen|ten(?: unit)?|numeral) scale/u.test(kinds);
  if (language === 'de') return tokens.length === 1;
  // "Seis treinta", "trente quatre".
  if (language !== 'en') return tokens.length <= 2;
  return /^(?:unit|teen|ten|ten unit)$/u.test(kinds) || /^(?:unit|teen|ten) (?:teen|ten|ten unit)$/u.test(kinds);
}

/** "5", "12", "1984", "250" and "1000" may count something; "555", "0123" and "90210" are told digit by digit. */
function isQuantityNumeral(numeral: string): boolean {
  if (numeral.startsWith('0') && numeral.length > 1) return false;
  if (numeral.length <= 2 || /^[1-9]\d?0+$/u.test(numeral)) return true;
  return /^(?:1[0-9]|20)\d\d$/u.test(numeral) || /^(?:[1-9]|1[0-2])(?:00|15|30|45)$/u.test(numeral);
}

const WHOLE_CODES: readonly RegExp[] = [
  // United Kingdom: "SW1A 1AA"; Canada: "K1A 0B1"; the Netherlands: "1234 AB".
  /^[a-z]{1,2}[#\d][a-z#\d]?[#\d][a-z]{2}$/u,
  /^[a-z][#\d][a-z][#\d][a-z][#\d]$/u,
  /^[#\d]{4}[a-z]{2}$/u,
];

/** Whether letters and digits have the form of a whole postal code. */
export function looksLikeCode(characters: string): boolean {
  return WHOLE_CODES.some((code) => code.test(characters));
}
