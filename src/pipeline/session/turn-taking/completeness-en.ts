/** How an English sentence ends, finished or not. */
import type { Completeness, LastSentence } from './completeness.ts';
import * as lexicon from './lexicon-en.ts';

type Verdict = Completeness | undefined;

/** Judges the last sentence of an utterance that ends in a full stop or in nothing. */
export function englishEnding({ words: all, stop, stopMissing }: LastSentence): Completeness {
  if (lexicon.SHORT_ANSWERS.has(all.join(' '))) return 'complete';
  const words = withoutOpeners(all);
  // Nothing but "so", "well", "um okay": "okay" is an answer, "well" announces one.
  if (words.length === 0) return lexicon.SHORT_ANSWERS.has(all.at(-1) ?? '') ? 'complete' : 'incomplete';
  const rest = words.join(' ');
  if (lexicon.SHORT_ANSWERS.has(rest)) return 'complete';
  if (lexicon.UNFINISHED_TAIL.test(rest)) return 'incomplete';
  const answers = lexicon.ANSWER_WORDS.has(all[all.length - words.length - 1] ?? '');
  if (answers && isElliptic(words)) return 'complete';
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
  if (last === 'that') return takesThat(words) && !stop && !hasGap(words) ? 'incomplete' : undefined;
  // "Cancel my order": a noun here, whatever it may be elsewhere.
  if (lexicon.NOUN_AFTER.has(before)) return undefined;
  if (lexicon.AUXILIARIES.has(last)) return auxiliaryLast(words, stop);
  if (lexicon.NEGATED_AUXILIARIES.has(last)) return ellipsis(words) || stop ? undefined : 'open';
  if (lexicon.SUBJECTS.has(last)) return subjectLast(words, stop);
  if (lexicon.PREPOSITIONS.has(last)) return prepositionLast(words, stop);
  if (lexicon.TRANSITIVE.has(last)) return transitiveLast(words, stop);
  if (lexicon.QUESTION_WORDS.has(last)) return questionWordLast(words, stop);
  return undefined;
}

/** "I think that", "she told me that" against "I want that". */
function takesThat(words: readonly string[]): boolean {
  const before = words.at(-2) ?? '';
  const verb = /^(?:me|you|him|her|us|them)$/u.test(before) ? words.at(-3) : before;
  return lexicon.TAKES_THAT.has(verb ?? '');
}

/** "My number is" against "yes it is", "what the price is". */
function auxiliaryLast(words: readonly string[], stop: boolean): Verdict {
  if (ellipsis(words) || hasGap(words)) return undefined;
  // "It is." may answer something; with more words a full stop is just the recogniser's ("My name is.").
  if (words.length <= 2 && stop) return 'open';
  return 'incomplete';
}

/** "I do", "I think it is": an answer that leaves out what was asked. Alone, "I have" is as likely the beginning of something. */
function ellipsis(words: readonly string[]): boolean {
  if (!isElliptic(words.slice(-2))) return false;
  const lead = words.slice(0, -2).join(' ');
  if (lead === '') return /^(?:do|did|am|can|will|don't|didn't|can't|won't)$/u.test(words.at(-1) ?? '');
  return /(?:think|believe|hope|guess|sure|suppose)$/u.test(lead);
}

/** A subject and an auxiliary and nothing else: after a "yes" or "no" that is a whole answer. */
function isElliptic(words: readonly string[]): boolean {
  const [subject = '', auxiliary = ''] = words;
  if (words.length === 2 && auxiliary === 'not') return lexicon.CONTRACTED_SUBJECTS.test(subject);
  if (words.length !== 2 || !/^(?:i|we|you|he|she|they|it|that|this|there)$/u.test(subject)) return false;
  return lexicon.AUXILIARIES.has(auxiliary) || lexicon.NEGATED_AUXILIARIES.has(auxiliary);
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
  // "When do you", "how can I": no question word makes up for the verb.
  if (lexicon.BEFORE_SUBJECT.test(`${before} ${last}`)) return incompleteOr(stop);
  if (lexicon.ONLY_SUBJECTS.has(last))
    return hasGap(words) && lexicon.AUXILIARIES.has(before) ? undefined : incompleteOr(stop);
  if (!lexicon.AUXILIARIES.has(before)) return undefined;
  // "How are you", "where is it", "is that it" against "can you", "do you".
  return words.some((word) => lexicon.GAP_OPENERS.test(word)) ? undefined : incompleteOr(stop);
}

/** "I am calling about" against "what is it about", "come in", "I would like to check out". */
function prepositionLast(words: readonly string[], stop: boolean): Verdict {
  const last = words.at(-1) ?? '';
  if (last === 'to' && !lexicon.TAKES_TO.has(words.at(-2) ?? '')) return 'incomplete';
  if (hasGap(words)) return undefined;
  if (lexicon.PARTICLES.has(last) && words.slice(-4, -1).some((word) => lexicon.PARTICLE_VERBS.has(word)))
    return undefined;
  // "The internet is down", "when it is over".
  if (/^(?:down|over|off|up|out)$/u.test(last) && lexicon.AUXILIARIES.has(words.at(-2) ?? '')) return undefined;
  if (lexicon.MAY_STAND_ALONE.has(last) && words.length > 1) return stop ? undefined : 'open';
  return /^(?:to|of|from)$/u.test(last) ? 'incomplete' : incompleteOr(stop);
}

/** "I would like", "can I get", "I want to book" against "what would you like", "that is all I need". */
function transitiveLast(words: readonly string[], stop: boolean): Verdict {
  if (hasGap(words) || stop) return undefined;
  const before = words.at(-2) ?? 'to';
  if (!lexicon.BEFORE_VERB.test(before) && !lexicon.AUXILIARIES.has(before)) return undefined;
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
  return verb !== -1 && (verb < words.length - 1 || lexicon.INTRANSITIVE.has(words[verb] ?? ''));
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
  if (lexicon.FINITE_VERBS.has(word)) return !lexicon.NOUN_AFTER.has(before);
  return lexicon.ONLY_SUBJECTS.has(before);
}
