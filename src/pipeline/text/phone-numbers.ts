/** Phone numbers in English: digit by digit, a pause between groups. */
import { digitGroups, spellDigits } from './english-numbers.ts';

const INTERNATIONAL = /(?<![\p{L}\p{N}+])\+\d{1,15}(?:(?: ?\(|\) ?|[ .-])\d{1,14}){0,6}(?!\d)\)?/gu;
const NORTH_AMERICAN =
  /(?<![\p{L}\p{N}.,$€£/-])(?:\+?1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\d-]|[.,]\d)/gu;
const NATIONAL = /(?<![\p{L}\p{N}.,$€£/-])\(?0\d{2,4}\)?[ -]\d{3,4}(?:[ -]\d{3,4}){0,2}(?![\d-]|[.,]\d)/gu;
const LOCAL = /(?<![\p{L}\p{N}.,$€£/-])[2-9]\d{2}-0\d{3}(?![\d-]|[.,]\d)/gu;
const LOCAL_IN_CONTEXT =
  /(?<=(?:call|dial|phone|number|number is|text|fax|tel|ring)(?: us)?(?: at| on|:|\.)? )\d{3}-\d{4}(?![\d-]|[.,]\d)/giu;
const CHAIN = /(?<![\p{L}\p{N}.,$€£/-])\d{2,6}(?:-\d{2,6}){2,5}(?![\p{L}\d-]|[.,]\d)/gu;
const EXTENSION = /(?<![\p{L}\p{N}])(?:x|ext\.?|extension):? ?(\d{2,6})(?!\d)/giu;

/** "+1 555 010 0199" → "plus one, five five five, zero one zero, zero one nine nine". Also long numbers in groups, like 123-45-6789. */
export function speakPhoneNumbers(text: string): string {
  return text
    .replace(EXTENSION, (_, digits: string) => `extension ${spellDigits(digits)}`)
    .replace(INTERNATIONAL, (number) => {
      const digits = number.replace(/\D/g, '');
      return digits.length >= 7 && digits.length <= 15 ? `plus ${groups(number)}` : number;
    })
    .replace(NORTH_AMERICAN, groups)
    .replace(NATIONAL, groups)
    .replace(LOCAL, groups)
    .replace(LOCAL_IN_CONTEXT, groups)
    .replace(CHAIN, groups);
}

function groups(number: string): string {
  const written = number.match(/\d+/g) ?? [];
  const whole = written.length === 1 ? (written[0] ?? '') : '';
  if (whole.length === 11 && whole.startsWith('1')) return `one, ${digitGroups(whole.slice(1))}`;
  return written.map((group) => (group === '800' ? 'eight hundred' : digitGroups(group))).join(', ');
}
