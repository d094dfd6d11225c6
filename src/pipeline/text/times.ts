/** Times of day in English. */
import { cardinal, type EnglishStyle } from './english-numbers.ts';

const CLOCK =
  /(?<![\d:.,])(\d{1,2}):(\d{2})(?::(\d{2}))?(?![\d:])(?:\.\d{1,6})?(?: ?([ap])(?:\.m\.|\.m(?![a-z])|m(?![a-z])))?(Z(?![a-z]))?/gi;
const HOUR_ONLY = /(?<![\d:.,])(\d{1,2}) ?([ap])(?:\.m\.|m(?![a-z]))/gi;
const RATIO = /(?<![\d:.,])(\d{1,4}):(\d{1,4})(?![\d:])/g;

/** "10:30 a.m." → "ten thirty a.m."; "14:00" → "fourteen hundred"; "10:00" → "ten o'clock"; "9pm" → "nine p.m."; "16:9" → "sixteen to nine". */
export function speakTimes(text: string, style: EnglishStyle): string {
  return text
    .replace(CLOCK, (whole: string, hour: string, minute: string, second?: string, half?: string, zulu?: string) => {
      if (Number(hour) > 24 || Number(minute) > 59 || Number(second ?? 0) > 59) return whole;
      const seconds = second === undefined || second === '00' ? '' : ` and ${plural(second, 'second', style)}`;
      return `${clockWords(hour, minute, half !== undefined, style)}${seconds}${halfOfDay(half)}${zulu === undefined ? '' : ' UTC'}`;
    })
    .replace(HOUR_ONLY, (whole: string, hour: string, half: string) =>
      Number(hour) > 12 ? whole : `${cardinal(hour, style)}${halfOfDay(half)}`,
    )
    .replace(RATIO, (_, left: string, right: string) => `${cardinal(left, style)} to ${cardinal(right, style)}`);
}

function clockWords(hour: string, minute: string, twelveHours: boolean, style: EnglishStyle): string {
  const hours = cardinal(hour, style);
  if (minute !== '00') return `${hours} ${minute.startsWith('0') ? 'oh ' : ''}${cardinal(minute, style)}`;
  if (twelveHours) return hours;
  return Number(hour) > 12 || Number(hour) === 0 ? `${hours} hundred` : `${hours} o'clock`;
}

function halfOfDay(half: string | undefined): string {
  return half === undefined ? '' : ` ${half.toLowerCase()}.m.`;
}

function plural(count: string, noun: string, style: EnglishStyle): string {
  return `${cardinal(count, style)} ${noun}${Number(count) === 1 ? '' : 's'}`;
}
