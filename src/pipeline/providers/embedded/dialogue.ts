/**
 * The scripted front desk: what to say next, from the messages so far and the agent's questions and answers; pure.
 * All state is in the messages, so any request can be answered by any process, also after another provider failed.
 */
import type { LlmMessage, QuestionAndAnswer } from '../spec.ts';
import { spokenWords } from './grammar.ts';
import { SMALL_TALK } from './small-talk.ts';
import type { SmallTalk } from './small-talk.ts';

/** Either what to say, or a wish to know how similar each question is to what the caller said. */
export type Decision =
  | { readonly type: 'say'; readonly text: string }
  | { readonly type: 'compare'; readonly query: string; readonly declined: ReadonlySet<QuestionAndAnswer> };

/** How similar a question of `entry` is to what the caller said: the most similar one. −1 to 1.2. */
export interface Candidate {
  readonly entry: QuestionAndAnswer;
  readonly similarity: number;
}

/** From here the answer is given without asking back, if no other is nearly as similar (README.md: chosen on measured paraphrases). */
const ANSWER_SIMILARITY = 0.65;
/** From here the caller is asked whether this was meant. */
const CONFIRM_SIMILARITY = 0.5;
/** Another entry within this makes the best one doubtful. */
const CLEAR_LEAD = 0.12;

const NOT_CAUGHT = 'Sorry, I did not catch that. Could you say it again, please?';
const DID_YOU_MEAN = 'Did you mean:';
const THEN_DID_YOU_MEAN = 'Then did you mean:';
const ANYTHING_ELSE = 'Is there anything else you would like to know?';
const WELCOME = `You are welcome. ${ANYTHING_ELSE}`;
const ASK_AWAY = 'What would you like to know?';
const GREETING = 'Hello. How can I help you?';
const GOODBYE = 'Thank you for calling. Goodbye.';
const NO_ANSWER = 'I do not have an answer to that: I am a scripted front desk without a language model.';
const NO_ANSWER_EITHER = 'I do not have an answer to that either.';
const WHO_I_AM = 'I am an automated front desk, and I answer from a prepared list.';
const OTHER_WORDS = 'All right, then please ask it in other words.';
const NOTHING_SAID = `I have not said anything yet. ${ASK_AWAY}`;
const EXAMPLES = 3;

/** Decides on the last user message; `compare` asks for a call of {@link decideBySimilarity}. */
export function decide(messages: readonly LlmMessage[], entries: readonly QuestionAndAnswer[]): Decision {
  const turns = messages.filter(isSaid);
  const callerAt = turns.findLastIndex(({ role }) => role === 'user');
  const query = turns[callerAt]?.content ?? '';
  const before = turns.slice(0, Math.max(0, callerAt));
  const words = spokenWords(query).join(' ');
  if (words === '') return say(NOT_CAUGHT);
  const entry = exactEntry(words, entries);
  if (entry) return say(entry.answer);
  const smallTalk = smallTalkOf(words);
  const pending = pendingQuestion(before, entries);
  if (pending && (smallTalk === 'yes' || smallTalk === 'no')) return resolve(smallTalk, pending, before, entries);
  return smallTalk ? say(answerSmallTalk(smallTalk, before, entries)) : { type: 'compare', query, declined: new Set() };
}

/** `candidates`: one for each entry, in any order. */
export function decideBySimilarity(
  messages: readonly LlmMessage[],
  decision: Extract<Decision, { type: 'compare' }>,
  candidates: readonly Candidate[],
): string {
  const open = candidates
    .filter(({ entry }) => !decision.declined.has(entry))
    .toSorted((a, b) => b.similarity - a.similarity);
  const [best, second] = open;
  const isFollowUp = decision.declined.size > 0;
  if (best && best.similarity >= CONFIRM_SIMILARITY) {
    const isClear = best.similarity - (second?.similarity ?? -1) >= CLEAR_LEAD;
    if (!isFollowUp && best.similarity >= ANSWER_SIMILARITY && isClear) return best.entry.answer;
    return `${isFollowUp ? THEN_DID_YOU_MEAN : DID_YOU_MEAN} ${asQuestion(best.entry)}`;
  }
  const entries = candidates.map(({ entry }) => entry);
  const refusals = countRefusals(messages);
  if (isFollowUp) return `${OTHER_WORDS} ${examples(entries, refusals)}`.trim();
  return `${refusals > 0 ? NO_ANSWER_EITHER : NO_ANSWER} ${examples(entries, refusals)}`.trim();
}

/** Tools are for models: neither their results nor the calls made without a word were said by anybody. */
function isSaid(message: LlmMessage): boolean {
  if (message.role === 'assistant') return message.content !== '' || !message.toolCalls?.length;
  return message.role === 'user';
}

function say(text: string): Decision {
  return { type: 'say', text };
}

/** The caller answers a question that the desk asked. */
interface Pending {
  /** Undefined: "anything else?". */
  readonly entry: QuestionAndAnswer | undefined;
}

/** What the desk's last words asked; they may break off where the caller interrupted. */
function pendingQuestion(before: readonly LlmMessage[], entries: readonly QuestionAndAnswer[]): Pending | undefined {
  const last = before.findLast(({ role, content }) => role === 'assistant' && content !== NOT_CAUGHT);
  if (!last) return undefined;
  const asked = askedAbout(last.content, entries);
  if (asked) return { entry: asked };
  return last.content.trim().endsWith(ANYTHING_ELSE) ? { entry: undefined } : undefined;
}

/** The entry that a "Did you mean" is about; undefined if too little of it was heard to know. */
function askedAbout(text: string, entries: readonly QuestionAndAnswer[]): QuestionAndAnswer | undefined {
  const lead = [DID_YOU_MEAN, THEN_DID_YOU_MEAN].find((words) => text.startsWith(words));
  if (!lead) return undefined;
  const heard = text.slice(lead.length).trim();
  if (heard === '') return undefined;
  const matching = entries.filter((entry) => asQuestion(entry).startsWith(heard));
  return matching.find((entry) => asQuestion(entry) === heard) ?? (matching.length === 1 ? matching[0] : undefined);
}

function resolve(
  reply: 'yes' | 'no',
  pending: Pending,
  before: readonly LlmMessage[],
  entries: readonly QuestionAndAnswer[],
): Decision {
  if (!pending.entry) return say(reply === 'yes' ? ASK_AWAY : GOODBYE);
  if (reply === 'yes') return say(pending.entry.answer);
  const declined = new Set<QuestionAndAnswer>();
  let query = '';
  // Back to the words that began this: everything offered since then has been declined.
  for (const { role, content } of before.toReversed()) {
    if (role === 'assistant') {
      const asked = askedAbout(content, entries);
      if (asked) declined.add(asked);
      else if (content !== NOT_CAUGHT) break;
    } else if (content !== '' && !smallTalkOf(spokenWords(content).join(' '))) {
      query = content;
      break;
    }
  }
  return query === '' ? say(`${OTHER_WORDS} ${examples(entries, 0)}`.trim()) : { type: 'compare', query, declined };
}

function answerSmallTalk(
  kind: SmallTalk,
  before: readonly LlmMessage[],
  entries: readonly QuestionAndAnswer[],
): string {
  switch (kind) {
    case 'yes':
      return ASK_AWAY;
    case 'no':
      return `All right. ${ANYTHING_ELSE}`;
    case 'greeting':
      return GREETING;
    case 'thanks':
      return WELCOME;
    case 'goodbye':
      return GOODBYE;
    case 'repeat':
      return repetition(before, entries);
    case 'help':
      return `${WHO_I_AM} ${examples(entries, 0)}`.trim();
  }
}

/** The last thing said that was worth saying; in full, even if the caller interrupted it. */
function repetition(before: readonly LlmMessage[], entries: readonly QuestionAndAnswer[]): string {
  const last = before.findLast(({ role, content }) => role === 'assistant' && content !== '' && content !== NOT_CAUGHT);
  if (!last) return NOTHING_SAID;
  const heard = last.content.trim();
  const cut = entries.filter(({ answer }) => answer.startsWith(heard));
  return cut.length === 1 && cut[0] ? cut[0].answer : heard;
}

function exactEntry(words: string, entries: readonly QuestionAndAnswer[]): QuestionAndAnswer | undefined {
  const bare = withoutPoliteness(words);
  return entries.find((entry) => {
    const known = knownQuestions(entry);
    return known.has(words) || known.has(bare);
  });
}

/** Reading numbers aloud takes its time: once for each entry. */
const questionsOf = new WeakMap<QuestionAndAnswer, ReadonlySet<string>>();

function knownQuestions(entry: QuestionAndAnswer): ReadonlySet<string> {
  const known = questionsOf.get(entry);
  if (known) return known;
  const asked = entry.questions.map((question) => spokenWords(question).join(' '));
  const questions = new Set([...asked, ...asked.map(withoutPoliteness)]);
  questions.delete('');
  questionsOf.set(entry, questions);
  return questions;
}

const OPENERS =
  /^(?:(?:um+|uh+|er|so|well|okay|ok|and|hi|hello|hey|excuse me|sorry|please|yes|no|thank you|thanks|great|can you tell me|could you tell me|tell me|i would like to know|i'd like to know|i want to know|do you know)\s+)+/;
const CLOSERS = /(?:\s+(?:please|thanks|thank you|then|now))+$/;

/** "um hello where are you please" → "where are you". Words that are nothing but politeness stay. */
function withoutPoliteness(words: string): string {
  return words.replace(OPENERS, '').replace(CLOSERS, '') || words;
}

const smallTalkKinds: ReadonlyMap<string, SmallTalk> = new Map(
  (Object.keys(SMALL_TALK) as SmallTalk[]).flatMap((kind) => SMALL_TALK[kind].map((phrase) => [phrase, kind] as const)),
);

function smallTalkOf(words: string): SmallTalk | undefined {
  return smallTalkKinds.get(words) ?? smallTalkKinds.get(withoutPoliteness(words));
}

function asQuestion(entry: QuestionAndAnswer): string {
  const question = (entry.questions[0] ?? '').trim();
  return /[?.!]$/.test(question) ? question : `${question}?`;
}

function countRefusals(messages: readonly LlmMessage[]): number {
  return messages.filter(({ role, content }) => {
    return role === 'assistant' && (content.startsWith(NO_ANSWER) || content.startsWith(NO_ANSWER_EITHER));
  }).length;
}

/** Some of the agent's questions, other ones each time. */
function examples(entries: readonly QuestionAndAnswer[], round: number): string {
  const known = entries.filter(({ questions }) => questions.length > 0);
  if (known.length === 0) return 'There are no prepared answers yet.';
  const count = Math.min(EXAMPLES, known.length);
  const chosen = Array.from({ length: count }, (_, i) => known[(round * EXAMPLES + i) % known.length]);
  return `You can ask me, for example: ${chosen.map((entry) => (entry ? asQuestion(entry) : '')).join(' ')}`;
}

const STOP_WORDS: ReadonlySet<string> = new Set(
  (
    'a an the is are am be do does did i you we it my your our me us can could may must will would should have has to of for at on and or if ' +
    "what when where which who how there that this get much many time please i'd i'm what's is it's"
  ).split(' '),
);

/** Share of the words that count, of both sentences together, which are in both; 0 to 1. */
export function sharedWords(a: string, b: string): number {
  const [inA, inB] = [contentWords(a), contentWords(b)];
  const shared = [...inA].filter((word) => inB.has(word)).length;
  const all = inA.size + inB.size - shared;
  return all === 0 ? 0 : shared / all;
}

function contentWords(sentence: string): ReadonlySet<string> {
  return new Set(spokenWords(sentence).filter((word) => !STOP_WORDS.has(word)));
}
