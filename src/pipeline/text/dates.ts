/** Calendar dates in English. */
import { cardinal, ordinal, yearWords, type EnglishStyle } from './english-numbers.ts';
import { namedGroups } from './named-groups.ts';

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const MONTH =
  '(?<month>Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)(?![a-z])';
const YEAR = String.raw`(?<year>1[1-9]\d\d|20\d\d)(?!\d|[.,]\d|-\d)`;
const NOT_MORE = String.raw`(?!\d|[:%/]|[.,]\d)`;

const ISO = /(?<![\d-])(\d{4})-(\d{2})-(\d{2})(?:T(?=\d\d:)|(?![\d-]))/g;
const SLASHED = /(?<![\d/])(\d{1,2})\/(\d{1,2})\/(\d{4}|\d{2})(?![\d/])/g;
const DOTTED = /(?<![\d.])(\d{1,2})\.(\d{1,2})\.(\d{4})(?![\d]|\.\d)/g;
const DAY_MONTH_SLASHED =
  /(?<=(?:^|[^\p{L}])(?:on|by|until|till|since|from|due|for|before|after) )(\d{1,2})\/(\d{1,2})(?![\d/])/giu;
const MONTH_DAY = new RegExp(
  String.raw`(?<![\p{L}\p{N}])${MONTH}\.? (?<day>\d{1,2})(?:st|nd|rd|th)?(?![a-z])(?: ?[-–—] ?(?<until>\d{1,2})(?:st|nd|rd|th)?(?![\da-z]))?${NOT_MORE}(?:,? ${YEAR})?`,
  'gu',
);
const DAY_MONTH = new RegExp(
  String.raw`(?<![\p{L}\p{N}.,:/$€£-])(?<the>the )?(?:(?<from>\d{1,2})(?:st|nd|rd|th)? ?[-–—] ?)?(?<day>\d{1,2})(?:st|nd|rd|th|\.)?(?: of)? ${MONTH}(?<dot>\.?)(?:,? ${YEAR})?`,
  'gu',
);
const MONTH_YEAR = new RegExp(String.raw`(?<![\p{L}\p{N}])${MONTH}\.?,? ${YEAR}`, 'gu');
const MONTH_ALONE = /(?<![\p{L}\p{N}])(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.(?=(.?))/gu;
const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const WEEKDAY = new RegExp(
  String.raw`(?<![\p{L}\p{N}])(Sun|Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat)(?:\.,|\.|,)? (?=\d|the \d|(?:${MONTHS.map((month) => month.slice(0, 3)).join('|')})[a-z]{0,6}\.? \d)`,
  'gu',
);

/**
 * "2026-11-22", "11/22/2026" (day first in British style, and wherever the month could not be), "22.11.2026", "Nov 22", "22 Nov 2026",
 * "Nov 22–24" → "November twenty-second, twenty twenty-six". What is no date of the calendar is left alone.
 */
export function speakDates(text: string, style: EnglishStyle): string {
  return numericDates(text, style)
    .replace(WEEKDAY, (_, day: string) => `${WEEKDAYS.find((name) => name.startsWith(day.slice(0, 3))) ?? day}, `)
    .replace(MONTH_DAY, (...args) => speakMonthDay(args, style))
    .replace(DAY_MONTH, (...args) => speakDayMonth(args, style))
    .replace(MONTH_YEAR, (...args) => {
      const { month, year } = namedGroups(args);
      return `${monthName(month)} ${yearWords(Number(year), style)}`;
    })
    .replace(MONTH_ALONE, (_, month: string, next: string) => `${monthName(month)}${next === '' ? '.' : ''}`);
}

function numericDates(text: string, style: EnglishStyle): string {
  return text
    .replace(ISO, (whole: string, year: string, month: string, day: string) => {
      const spoken = speakDate(Number(year), Number(month), Number(day), style);
      return spoken === undefined ? whole : `${spoken}${whole.endsWith('T') ? ' at ' : ''}`;
    })
    .replace(SLASHED, (whole: string, first: string, second: string, year: string) =>
      speakOrdered(whole, first, second, fullYear(year), style.british, style),
    )
    .replace(DOTTED, (whole: string, first: string, second: string, year: string) =>
      speakOrdered(whole, first, second, Number(year), true, style),
    )
    .replace(DAY_MONTH_SLASHED, (whole: string, first: string, second: string) =>
      speakOrdered(whole, first, second, undefined, style.british, style),
    );
}

function speakOrdered(
  whole: string,
  first: string,
  second: string,
  year: number | undefined,
  dayFirst: boolean,
  style: EnglishStyle,
): string {
  const [day, month] = dayFirst ? [Number(first), Number(second)] : [Number(second), Number(first)];
  return speakDate(year, month, day, style) ?? speakDate(year, day, month, style) ?? whole;
}

/** Undefined if there is no such day. */
function speakDate(year: number | undefined, month: number, day: number, style: EnglishStyle): string | undefined {
  const name = MONTHS[month - 1];
  if (name === undefined || day < 1 || day > 31) return undefined;
  const spokenYear = year === undefined ? '' : yearOrNumber(year, style);
  if (style.british) return `the ${ordinal(day, style)} of ${name}${spokenYear && ` ${spokenYear}`}`;
  return `${name} ${ordinal(day, style)}${spokenYear && `, ${spokenYear}`}`;
}

function speakMonthDay(args: readonly unknown[], style: EnglishStyle): string {
  const { month, day, until, year } = namedGroups(args);
  const whole = String(args[0]);
  if (!isDay(day) || (until !== undefined && !isDay(until))) return whole;
  const range = until === undefined ? '' : ` to ${ordinal(until, style)}`;
  return `${monthName(month)} ${ordinal(day, style)}${range}${year === undefined ? '' : `, ${yearWords(Number(year), style)}`}`;
}

function speakDayMonth(args: readonly unknown[], style: EnglishStyle): string {
  const { from, day, month, dot, year } = namedGroups(args);
  if (!isDay(day) || (from !== undefined && !isDay(from))) return String(args[0]);
  const range = from === undefined ? '' : `${ordinal(from, style)} to `;
  const stop = dot === '.' && year === undefined && month !== undefined && month.length > 4 ? '.' : '';
  return `the ${range}${ordinal(day, style)} of ${monthName(month)}${stop}${year === undefined ? '' : ` ${yearWords(Number(year), style)}`}`;
}

function isDay(day: string | undefined): day is string {
  return day !== undefined && Number(day) >= 1 && Number(day) <= 31;
}

function monthName(month: string | undefined): string {
  return MONTHS.find((name) => month !== undefined && name.startsWith(month.slice(0, 3))) ?? '';
}

function fullYear(year: string): number {
  if (year.length === 4) return Number(year);
  return Number(year) + (Number(year) < 60 ? 2000 : 1900);
}

function yearOrNumber(year: number, style: EnglishStyle): string {
  return year >= 1000 && year < 2100 ? yearWords(year, style) : cardinal(year, style);
}
