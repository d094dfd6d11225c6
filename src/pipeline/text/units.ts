/** Units after numbers, in English. The numbers stay digits: `number-phrases.ts` reads them. */
import type { EnglishStyle } from './english-numbers.ts';
import { namedGroups } from './named-groups.ts';

/** Spoken unit: regular plurals get an s; [one, many] otherwise. */
const UNITS: Readonly<Record<string, string | readonly [one: string, many: string]>> = {
  km: 'kilometer',
  m: 'meter',
  cm: 'centimeter',
  mm: 'millimeter',
  µm: 'micrometer',
  nm: 'nanometer',
  mi: 'mile',
  yd: 'yard',
  yds: 'yard',
  ft: ['foot', 'feet'],
  'sq ft': ['square foot', 'square feet'],
  'sq m': 'square meter',
  'm²': 'square meter',
  m2: 'square meter',
  'm³': 'cubic meter',
  m3: 'cubic meter',
  'km²': 'square kilometer',
  km2: 'square kilometer',
  'cm²': 'square centimeter',
  'cm³': 'cubic centimeter',
  'ft²': ['square foot', 'square feet'],
  kg: 'kilogram',
  g: 'gram',
  mg: 'milligram',
  µg: 'microgram',
  mcg: 'microgram',
  lb: 'pound',
  lbs: 'pound',
  oz: 'ounce',
  'fl oz': 'fluid ounce',
  l: 'liter',
  L: 'liter',
  ml: 'milliliter',
  mL: 'milliliter',
  cl: 'centiliter',
  dl: 'deciliter',
  gal: 'gallon',
  pt: 'pint',
  qt: 'quart',
  tbsp: 'tablespoon',
  tsp: 'teaspoon',
  B: 'byte',
  KB: 'kilobyte',
  kB: 'kilobyte',
  MB: 'megabyte',
  GB: 'gigabyte',
  TB: 'terabyte',
  PB: 'petabyte',
  GiB: 'gibibyte',
  MiB: 'mebibyte',
  kbps: ['kilobit per second', 'kilobits per second'],
  Mbps: ['megabit per second', 'megabits per second'],
  Gbps: ['gigabit per second', 'gigabits per second'],
  'Mbit/s': ['megabit per second', 'megabits per second'],
  Hz: ['hertz', 'hertz'],
  kHz: ['kilohertz', 'kilohertz'],
  MHz: ['megahertz', 'megahertz'],
  GHz: ['gigahertz', 'gigahertz'],
  W: 'watt',
  kW: 'kilowatt',
  MW: 'megawatt',
  kWh: 'kilowatt hour',
  Wh: 'watt hour',
  V: 'volt',
  kV: 'kilovolt',
  mAh: 'milliamp hour',
  dB: 'decibel',
  px: 'pixel',
  cal: 'calorie',
  kcal: 'kilocalorie',
  bpm: ['beat per minute', 'beats per minute'],
  mph: ['mile per hour', 'miles per hour'],
  'km/h': ['kilometer per hour', 'kilometers per hour'],
  kph: ['kilometer per hour', 'kilometers per hour'],
  kmh: ['kilometer per hour', 'kilometers per hour'],
  'm/s': ['meter per second', 'meters per second'],
  mpg: ['mile per gallon', 'miles per gallon'],
  ms: 'millisecond',
  s: 'second',
  sec: 'second',
  secs: 'second',
  min: 'minute',
  mins: 'minute',
  h: 'hour',
  hr: 'hour',
  hrs: 'hour',
  wk: 'week',
  wks: 'week',
  mo: 'month',
  yr: 'year',
  yrs: 'year',
  '%': ['percent', 'percent'],
  '‰': ['per mille', 'per mille'],
};
/** These mean other things when they stick to the number: 90s, 5B, 12V. */
const NEEDS_SPACE = new Set(['s', 'B', 'W', 'V', 'L']);
/** Written with a full stop, which is dropped unless the text ends there. */
const DOTTED = new Set([
  'ft',
  'lb',
  'lbs',
  'oz',
  'yd',
  'yds',
  'mi',
  'gal',
  'sec',
  'secs',
  'min',
  'mins',
  'hr',
  'hrs',
  'yr',
  'yrs',
  'pt',
  'qt',
  'tbsp',
  'tsp',
  'sq ft',
]);

const NAMES = Object.keys(UNITS)
  .sort((a, b) => b.length - a.length)
  .join('|');
const AMOUNT = String.raw`(?:\d{1,3}(?:,\d{3}){1,5}|\d{1,18})(?:\.\d{1,9})?[½¼¾⅓⅔]?`;
const MEASURE = new RegExp(
  String.raw`(?<![\p{L}\p{N}.,])(?<amount>${AMOUNT})(?<space>[ -]?)(?<unit>${NAMES})(?![\p{L}\p{N}²³])(?:\/(?<per>h|hr|hour|s|sec|second|min|minute|day|week|month|year|kg|l|person)(?![\p{L}\p{N}]))?(?:(?<stop>\.(?! [^\p{Lu}]|\d))|\.(?!\d))?`,
  'gu',
);
const DEGREES = /(?<=\d ?)(?:[°º] ?(C|F|K)(?![\p{L}\p{N}])|(℃)|(℉)|[°º])/gu;
const FEET_AND_INCHES = /(?<![\p{L}\p{N}.,])(\d)['’′] ?(\d{1,2})(?:"|”|″|'')/gu;
const SCALES: Readonly<Record<string, string>> = { C: 'Celsius', F: 'Fahrenheit', K: 'Kelvin' };
const PER: Readonly<Record<string, string>> = {
  h: 'hour',
  hr: 'hour',
  s: 'second',
  sec: 'second',
  min: 'minute',
  kg: 'kilogram',
  l: 'liter',
};

/** "5 km" → "5 kilometers", "20°C" → "20 degrees Celsius", "5'10"" → "5 foot 10", "7%" → "7 percent", "3 GB/month". */
export function speakUnits(text: string, style: EnglishStyle): string {
  return text
    .replace(FEET_AND_INCHES, '$1 foot $2')
    .replace(DEGREES, (_, letter?: string, celsius?: string, fahrenheit?: string, offset?: number) => {
      const scale = SCALES[celsius ? 'C' : fahrenheit ? 'F' : (letter ?? '')];
      const one = typeof offset === 'number' && /(?:^|[^\d.,])1 ?$/.test(text.slice(Math.max(0, offset - 3), offset));
      return ` ${one ? 'degree' : 'degrees'}${scale === undefined ? ' ' : ` ${scale}`}`;
    })
    .replace(MEASURE, (...args) => speakMeasure(args, style));
}

function speakMeasure(args: readonly unknown[], style: EnglishStyle): string {
  const whole = String(args[0]);
  const { amount = '', space, unit = '', per, stop } = namedGroups(args);
  const names = UNITS[unit];
  if (names === undefined || (space === '' && NEEDS_SPACE.has(unit)) || (space === '-' && unit.length === 1))
    return whole;
  const [one, many] = typeof names === 'string' ? [names, `${names}s`] : names;
  const words = (amount === '1' || space === '-' ? one : many) + (per === undefined ? '' : ` per ${PER[per] ?? per}`);
  const keepsStop = whole.endsWith('.') && (stop !== undefined || !DOTTED.has(unit));
  return `${amount} ${dialect(words, style)}${keepsStop ? '.' : ''}`;
}

function dialect(words: string, style: EnglishStyle): string {
  return style.british ? words.replace(/(met|lit)er/g, '$1re') : words;
}
