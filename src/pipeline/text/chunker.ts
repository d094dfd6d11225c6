/**
 * Cuts streamed LLM text into clauses for speech: the first as early as is decent, later ones sentence by sentence.
 *
 * Guarantees, whatever the text:
 * - The clauses joined are the text: no character is lost, added or moved.
 * - Clauses do not depend on how the text was cut into deltas. A clause goes out once the text so far decides it for good;
 *   the text after a cut can never change it.
 * - No clause is longer than `maxCharacters`, and no more than that plus {@link LOOKAHEAD} characters are ever held back.
 * - A clause holds at least one letter or digit, except the last one of a text and runs of `maxCharacters` without any.
 *
 * Numbers with their units, abbreviations with their names, addresses and phone numbers are cut only when a clause has nothing
 * else to be cut at before `maxCharacters`.
 */
import { bestBreak, boundaryAt, hasWords, isCjk, lastWordBreak, LOOKAHEAD, type Boundary } from './clause-boundary.ts';
import { openerLength } from './openers.ts';

export interface ChunkerSettings {
  /** BCP 47. Decides whether "3. X" may end a sentence (English) or is an ordinal (most others). */
  readonly language: string;
  /** The first clause may end at a comma once it has this many words. */
  readonly firstMinWords: number;
  /** The first clause is cut between words when it has this many and no boundary has come. */
  readonly firstMaxWords: number;
  /** A later clause may end at a comma once it has this many words; before, only at the end of a sentence. */
  readonly longMinWords: number;
  /** No clause is longer (UTF-16 code units, at least 16). */
  readonly maxCharacters: number;
}

const DEFAULT_CHUNKER_SETTINGS: ChunkerSettings = {
  language: 'en',
  firstMinWords: 3,
  firstMaxWords: 9,
  longMinWords: 12,
  maxCharacters: 240,
};

/** Where the chunker is in a text. Never changed in place, so a state machine can hold it in its own state. */
export interface ChunkerState {
  readonly settings: ChunkerSettings;
  /** Text that has not gone out. */
  readonly pending: string;
  /** Characters of `pending` already known to hold no cut. */
  readonly scanned: number;
  /** Half words in those characters: a word counts 2, a CJK character 1. */
  readonly halfWords: number;
  readonly clauseCount: number;
}

export interface ChunkerResult {
  readonly state: ChunkerState;
  /** Complete clauses, in order, with their white space. */
  readonly clauses: string[];
}

/** A chunker at the start of a text. */
export function createChunker(settings: Partial<ChunkerSettings> = {}): ChunkerState {
  const merged = { ...DEFAULT_CHUNKER_SETTINGS, ...settings };
  return {
    settings: { ...merged, maxCharacters: Math.max(16, merged.maxCharacters) },
    pending: '',
    scanned: 0,
    halfWords: 0,
    clauseCount: 0,
  };
}

/** Adds streamed text; returns the clauses that it completes. */
export function pushText(state: ChunkerState, delta: string): ChunkerResult {
  return takeClauses({ ...state, pending: state.pending + delta }, false);
}

/** The text is over: returns what is left, waiting for nothing, and a state that is ready for another text. */
export function endText(state: ChunkerState): ChunkerResult {
  const { state: rest, clauses } = takeClauses(state, true);
  if (rest.pending !== '') clauses.push(rest.pending);
  return { state: createChunker(state.settings), clauses };
}

interface Scan {
  /** Length of the clause, or undefined when the text so far does not decide. */
  readonly cut: number | undefined;
  readonly scanned: number;
  readonly halfWords: number;
}

function takeClauses(state: ChunkerState, ended: boolean): ChunkerResult {
  const clauses: string[] = [];
  let current = state;
  for (;;) {
    const scan = scanClause(current, ended);
    if (scan.cut === undefined) {
      return { state: { ...current, scanned: scan.scanned, halfWords: scan.halfWords }, clauses };
    }
    clauses.push(current.pending.slice(0, scan.cut));
    current = {
      ...current,
      pending: current.pending.slice(scan.cut),
      scanned: 0,
      halfWords: 0,
      clauseCount: current.clauseCount + 1,
    };
  }
}

function scanClause(state: ChunkerState, ended: boolean): Scan {
  const { pending, settings } = state;
  const { maxCharacters } = settings;
  // Every decision sees the same window, however much text happens to be there already: that makes it independent of deltas.
  const text = pending.slice(0, maxCharacters + LOOKAHEAD);
  const final = ended && pending.length <= text.length;
  const end = Math.min(text.length, maxCharacters);
  const opener = state.clauseCount === 0 ? openerLength(text, settings.language) : undefined;
  let { scanned, halfWords } = state;
  for (; scanned < end; scanned++) {
    if (scanned === opener) break;
    const boundary = boundaryAt(text, scanned, final, settings.language);
    if (boundary === 'undecided') return { cut: undefined, scanned, halfWords };
    const cut = cutAt(state, text, scanned, halfWords, boundary);
    if (cut !== undefined) return { cut, scanned, halfWords };
    halfWords += startsWord(text, scanned);
  }
  if (scanned === opener) return { cut: scanned, scanned, halfWords };
  const overlong = text.length > maxCharacters && (final || text.length === maxCharacters + LOOKAHEAD);
  if (!overlong) return { cut: undefined, scanned, halfWords };
  const cut =
    bestBreak(text, maxCharacters >> 1, maxCharacters) ??
    bestBreak(text, 1, maxCharacters) ??
    lastWordBreak(text, maxCharacters) ??
    hardCut(text, maxCharacters);
  return { cut, scanned, halfWords };
}

/** The length of the clause if it ends at `index`. */
function cutAt(
  state: ChunkerState,
  text: string,
  index: number,
  halfWords: number,
  boundary: Exclude<Boundary, 'undecided'>,
): number | undefined {
  const { settings, clauseCount } = state;
  const isFirst = clauseCount === 0;
  const words = halfWords / 2;
  if (
    boundary === 'strong' ||
    (boundary === 'weak' && words >= (isFirst ? settings.firstMinWords : settings.longMinWords))
  ) {
    const length = /\s/.test(text.charAt(index)) ? index + 1 : index;
    return hasWords(text.slice(0, length)) ? length : undefined;
  }
  if (isFirst && boundary === 'word' && words >= settings.firstMaxWords) {
    // Two characters more and no further: what follows may not have come yet, and must not matter.
    const length = bestBreak(text.slice(0, index + 2), index >> 1, index + 1);
    return length !== undefined && hasWords(text.slice(0, length)) ? length : undefined;
  }
  return undefined;
}

/** Half words that begin at `index`. */
function startsWord(text: string, index: number): number {
  const character = text.charAt(index);
  if (isCjk(character)) return 1;
  const before = text.charAt(index - 1);
  return /\s/.test(character) || (before !== '' && !/\s/.test(before) && !isCjk(before)) ? 0 : 2;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** Where to cut a text that has no place for it: never inside a grapheme (an emoji, a letter with its accents) if it can be helped. */
function hardCut(text: string, max: number): number {
  const start = graphemes.segment(text).containing(max)?.index ?? max;
  if (start > 0) return start;
  return /[\uDC00-\uDFFF]/.test(text.charAt(max)) ? max - 1 : max;
}
