/** How an English sentence ends, finished or not. */
import type { Completeness, LastSentence } from './completeness.ts';
import * as lexicon from './lexicon-en.ts';

type Verdict = Completeness | undefined;

/** Judges the last sentence of an utterance that ends in a full stop or in nothing. */
export function englishEnding({ words: all, stop, stopMissing }: LastSentence): Completeness {
  if (lexicon.SHORT_ANSWERS.has(all.join(' '))) return 'complete';
  const words = withoutOpeners(all);
  // Nothing but "so", "well", "um okay": "okay" is an answer, "well" announces one.
  if (words.length === 0) return lexicon.ANSWER_WORDS.has(all.at(-1) ?? '') ? 'complete' : 'incomplete';
  const rest = words.join(' ');
  if (lexicon.SHORT_ANSWERS.has(rest)) return 'complete';
  if (lexicon.THINKING_ALOUD.test(rest)) return 'incomplete';
  const ending = unfinishedEnding(words, stop);
  if (ending !== undefined) return ending;
  if (stop) return 'complete';
  const whole = wholeWithoutStop(words);
  return stopMissing && whole === 'complete' && words.length > 3 ? 'open' : whole;
}

/** "Yeah so um, …": what a sentence is opened with says nothing of its end. */
function withoutOpeners(words: readonly string[]): readonly string[] {
  const first = words.findIndex((word) => !lexicon.OPENERS.has(word));
  return first === -1 ? [] : words.slice(first);
}

/** Judges by the last words; undefined: nothing speaks against a whole sentence. A full stop outweighs what is only likely. */
function unfinishedEnding(words: readonly string[], stop: boolean): Verdict {
  const last = words.at(-1) ?? '';
  const before = words.at(-2) ?? '';
  if (lexicon.ENDS_WELL.has(`${before} ${last}`)) return undefined;
  if (lexicon.FILLERS.has(last) || lexicon.NEVER_LAST.has(last)) return 'incomplete';
  if (lexicon.NEVER_LAST.has(`${before} ${last}`)) return 'incomplete';
  if (lexicon.CONTRACTED_SUBJECTS.test(last)) return 'incomplete';
  if (last === 'that') return lexicon.TAKES_THAT.has(before) && !stop ? 'incomplete' : undefined;
  if (lexicon.AUXILIARIES.has(last)) return auxiliaryLast(words, stop);
  if (lexicon.NEGATED_AUXILIARIES.has(last)) return ellipsis(words) || stop ? undefined : 'open';
  if (lexicon.SUBJECTS.has(last)) return subjectLast(words, stop);
  if (lexicon.PREPOSITIONS.has(last)) return prepositionLast(words, stop);
  if (lexicon.TRANSITIVE.has(last)) return transitiveLast(words, stop);
  if (lexicon.QUESTION_WORDS.has(last)) return questionWordLast(words, stop);
  return undefined;
}

/** "My number is" against "yes it is", "what the price is". */
function auxiliaryLast(words: readonly string[], stop: boolean): Verdict {
  if (ellipsis(words) || hasGap(words)) return undefined;
  // "I would like one if you have"; a recogniser's stop after it is not to be believed.
  if (words.length <= 2 && stop) return 'open';
  return 'incomplete';
}

/** "I do", "yes she has", "I think it is", "so am I": an answer that leaves out what was asked. */
function ellipsis(words: readonly string[]): boolean {
  const subject = words.at(-2) ?? '';
  if (!/^(?:i|we|you|he|she|they|it|that|this|there)$/u.test(subject)) return false;
  const lead = words.slice(0, -2);
  if (lead.length === 0) return !/^(?:that|this|there|it)$/u.test(subject) || /n't$/u.test(words.at(-1) ?? '');
  return (
    lead.every((word) => lexicon.ANSWER_WORDS.has(word)) ||
    /(?:think|believe|hope|guess|sure|suppose)$/u.test(lead.join(' '))
  );
}

/** A question word or relative earlier, with something between: what the last word governs has been said already. */
function hasGap(words: readonly string[]): boolean {
  const at = words.findIndex((word, index) => index < words.length - 1 && lexicon.GAP_OPENERS.test(word));
  if (at === -1 || words.length - at < 3) return false;
  // "What I need is", "what I wanted to ask was": here the clause is the subject.
  const last = words.at(-1) ?? '';
  const isSubjectClause =
    at === 0 && /^(?:is|was|are|were)$/u.test(last) && /^(?:i|we|you|he|she|they)$/u.test(words[1] ?? '');
  return !isSubjectClause && !lexicon.NOUN_AFTER.has(words.at(-2) ?? '');
}

/** "and I", "can you", "I was wondering if it" against "thank you", "for you". */
function subjectLast(words: readonly string[], stop: boolean): Verdict {
  const last = words.at(-1) ?? '';
  const before = words.at(-2);
  if (before === undefined) return /^(?:me|it|you|this|that)$/u.test(last) ? 'open' : 'incomplete';
  if (lexicon.SUBORDINATORS.has(before)) return 'incomplete';
  if (lexicon.ONLY_SUBJECTS.has(last))
    return hasGap(words) && lexicon.AUXILIARIES.has(before) ? undefined : incompleteOr(stop);
  if (!lexicon.AUXILIARIES.has(before)) return undefined;
  // "How are you", "where is it", "is that it" against "can you", "do you".
  return words.some((word) => lexicon.GAP_OPENERS.test(word)) ? undefined : incompleteOr(stop);
}

/** "I am calling about" against "what is it about", "come in", "I would like to check out". */
function prepositionLast(words: readonly string[], stop: boolean): Verdict {
  const last = words.at(-1) ?? '';
  if (hasGap(words)) return undefined;
  if (lexicon.PARTICLES.has(last) && words.slice(-4, -1).some((word) => lexicon.PARTICLE_VERBS.has(word)))
    return undefined;
  if (lexicon.MAY_STAND_ALONE.has(last)) return words.length > 1 ? 'open' : 'incomplete';
  return incompleteOr(stop && lexicon.PARTICLES.has(last));
}

/** "I would like", "can I get", "I want to book" against "what would you like", "that is all I need". */
function transitiveLast(words: readonly string[], stop: boolean): Verdict {
  if (hasGap(words) || stop) return undefined;
  if (words.some((word) => lexicon.RELATIVE_HEADS.has(word))) return undefined;
  return lexicon.LOOSELY_TRANSITIVE.has(words.at(-1) ?? '') ? 'open' : 'incomplete';
}

function questionWordLast(words: readonly string[], stop: boolean): Verdict {
  if (words.length === 1 || stop) return undefined;
  return /^(?:which|whose|who|how)$/u.test(words.at(-1) ?? '') ? 'incomplete' : 'open';
}

/** A recogniser puts a full stop after many a pause: it makes doubtful what would be unfinished without it. */
function incompleteOr(stop: boolean): Completeness {
  return stop ? 'open' : 'incomplete';
}

/** Words with a decent end and no punctuation: a question, a request, a statement, a short answer, or who knows. */
function wholeWithoutStop(words: readonly string[]): Completeness {
  const rest = words.join(' ');
  if (lexicon.UNFINISHED_QUESTION.test(rest)) return 'incomplete';
  if (lexicon.CLAUSE_OPENERS.test(rest)) return finiteVerbs(words) >= 2 ? 'complete' : 'incomplete';
  if (lexicon.QUESTION_START.test(rest)) return words.length >= 3 ? 'complete' : 'open';
  if (lexicon.REQUEST_START.test(rest)) return 'complete';
  if (isStatement(words)) return 'complete';
  return lexicon.SHORT_ANSWER.test(rest) ? 'complete' : 'open';
}

/** Whether there is a subject, a verb after it and something after that: "my order has not arrived", "I lost my card". */
function isStatement(words: readonly string[]): boolean {
  const verb = words.findIndex((word, index) => isFinite(words, index, word));
  return verb !== -1 && verb < words.length - 1;
}

function finiteVerbs(words: readonly string[]): number {
  return words.filter((word, index) => isFinite(words, index, word)).length;
}

/** A contraction with its subject, an auxiliary that something comes before, or any word after a pronoun that is only a subject. */
function isFinite(words: readonly string[], index: number, word: string): boolean {
  if (lexicon.CONTRACTED_SUBJECTS.test(word)) return true;
  const before = words[index - 1];
  if (before === undefined) return false;
  if (lexicon.AUXILIARIES.has(word) || lexicon.NEGATED_AUXILIARIES.has(word)) return !lexicon.NOUN_AFTER.has(before);
  return lexicon.ONLY_SUBJECTS.has(before);
}
