/**
 * Is the caller in the middle of dictating: a number, an e-mail address, a spelled name, a code? Cutting in there costs more than
 * anywhere else, because what was said so far is useless.
 *
 * Only the tail of the utterance is looked at: a number that something follows ("two people") is not being dictated.
 */
import { dictatesEmail } from './dictation-email.ts';
import { looksLikeCode, readRun } from './dictation-run.ts';
import type { DictatedRun } from './dictation-run.ts';

/**
 * - `dictating`: something is being dictated and more is to come.
 * - `complete`: something was dictated and has the length or form of a whole.
 * - `unclear`: something was dictated whose length nobody can know.
 * - `none`: nothing is being dictated.
 */
export type Dictation = 'dictating' | 'complete' | 'unclear' | 'none';

/** What kind of number the words around it announce, and which counts of characters are a whole one. */
interface Announced {
  readonly cue: RegExp;
  readonly isWhole: (characters: number) => boolean;
}

const ANNOUNCED: readonly Announced[] = [
  { cue: /\b(?:credit|debit|visa|mastercard|card|karten?)\b|kartennummer/u, isWhole: (count) => count >= 15 },
  { cue: /\b(?:zip|zip ?code|postleitzahl|plz)\b/u, isWhole: (count) => count === 5 || count === 9 },
  {
    cue: /\b(?:pin|last four|verification code|security code|passcode)\b/u,
    isWhole: (count) => count === 4 || count === 6,
  },
  { cue: /\b(?:social|social security)\b/u, isWhole: (count) => count === 4 || count === 9 },
];
const BIRTH = /\b(?:birth|birthday|born|dob)\b|\bgeb(?:oren|urtsdatum)\b/u;
/** A number is coming, of a length that nobody knows. */
const REFERENCE =
  /\b(?:account|order|reference|booking|confirmation|policy|member(?:ship)?|customer|tracking|invoice|case|ticket|serial|licen[cs]e|plate|(?:kunden|auftrags|bestell|rechnungs|vertrags)nummer)\b/u;
/** A number is coming. */
const NUMBER =
  /\b(?:number|numbers|digits?|phone|telephone|mobile|cell|code|postcode|area code|nummer|telefonnummer|handynummer|vorwahl|número|numéro|numero|teléfono|téléphone|telefono|telefone|telefoon|código|codice|telefoonnummer)\b/u;
/** Before one small number these say that it counts, names or dates something. */
const COUNTS =
  /\b(?:at|around|by|until|till|from|to|for|in|on|of|about|after|before|than|or|and|only|just|over|under|room|flight|gate|platform|page|step|option|chapter|table|line|bus|train|floor|terminal|apartment|suite|unit|size|age|aged|street|avenue|um|gegen|ab|bis|nach|vor|für|zimmer|gleis|flug|seite|tisch|nur|etwa|circa)$/u;
/** Before a number whose digits are said one by one ("room three oh two"), these name something. */
const NAMES =
  /\b(?:room|flight|gate|platform|bus|train|floor|terminal|apartment|suite|unit|zimmer|gleis|flug)(?: number)?$/u;
const MONTH =
  /\b(?:january|february|march|april|may|june|july|august|september|october|november|december|januar|februar|märz|mai|juni|juli|oktober|dezember)\b/u;

/** Judges the tail of `text`, which is in lower case. */
export function judgeDictation(text: string, language: string): Dictation {
  const email = dictatesEmail(text);
  if (email !== 'none') return email;
  const run = readRun(text, language);
  if (run === undefined) return 'none';
  const spelled = judgeSpelling(run);
  return spelled ?? judgeNumber(run);
}

/** Letters said one by one, alone or among digits; undefined: there are only digits. */
function judgeSpelling(run: DictatedRun): Dictation | undefined {
  if (run.letters === 0) return undefined;
  if (run.digits > 0 && looksLikeCode(run.characters)) return 'complete';
  // How long a name or a reference is, only the caller knows: so wait, whatever has come so far.
  return 'dictating';
}

function judgeNumber(run: DictatedRun): Dictation {
  const { digits, before } = run;
  const announced = ANNOUNCED.find(({ cue }) => cue.test(before));
  if (announced !== undefined) return announced.isWhole(digits) ? 'complete' : 'dictating';
  if (BIRTH.test(before)) return judgeBirthDate(run);
  if (MONTH.test(before)) return endsInHalfAYear(run) ? 'dictating' : 'none';
  if (run.isQuantity && (before === '' || COUNTS.test(before))) return 'none';
  if (NAMES.test(before) && digits <= 4) return 'none';
  if (REFERENCE.test(before)) return digits >= 6 ? 'unclear' : 'dictating';
  if (run.isQuantity) return NUMBER.test(before) ? 'dictating' : 'none';
  return judgePhoneNumber(run);
}

/** By the lengths of phone numbers; what the words before it announce has been looked at already. */
function judgePhoneNumber({ digits, groups, separated, language }: DictatedRun): Dictation {
  if (digits >= (language === 'es' || language === 'pt' ? 9 : 10)) return 'complete';
  // German numbers have any length.
  if (language === 'de') return digits >= 7 ? 'unclear' : 'dictating';
  if (digits !== 7) return 'dictating';
  // "555 0123" is a whole number; "415 555 0" is the beginning of a longer one; of seven single digits nobody can tell.
  if (separated) return groups.at(-1) === 4 ? 'complete' : 'dictating';
  return 'unclear';
}

function judgeBirthDate(run: DictatedRun): Dictation {
  if (endsInHalfAYear(run)) return 'dictating';
  if (run.isQuantity && run.digits === 4) return 'complete';
  if (MONTH.test(run.before)) return run.digits >= 4 ? 'complete' : 'dictating';
  return run.digits >= 6 ? 'complete' : 'dictating';
}

/** "March third nineteen": the decade is still to come. */
function endsInHalfAYear({ lastWord, digits }: DictatedRun): boolean {
  return digits <= 6 && (lastWord === 'nineteen' || lastWord === 'neunzehnhundert' || lastWord === '19');
}
