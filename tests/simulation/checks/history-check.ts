/** Invariant 2: the history holds what the caller said and what the caller heard. */
import { BYTES_PER_MS } from '../../../src/media/call-port.ts';
import type { CallEvent } from '../../../src/pipeline/events.ts';
import type { LlmMessage, SttPart } from '../../../src/pipeline/providers/spec.ts';
import type { Speech } from '../far-side.ts';
import { callerWordIndex, callerWordsIn, wordsOf } from '../words.ts';
import type { Check, CheckContext, ModelRequest } from './check.ts';
import { newsAgeMs, stallMs } from './check.ts';
import { messagesOf, wordsOfMessage } from './message.ts';

/** What is on its way to the ear has arrived, or been taken back, after this long. */
const SETTLED_MS = 1_200;

/** By how much the pace of a voice without alignment may be misjudged while it is still coming. */
const UNKNOWN_PACE = 0.25;
/** So much of the caller's audio a successor hears again, at the most; half a word at its beginning is not recognised. */
const REPLAY_MS = 3_000;
const HALF_WORD_MS = 100;
/** What was told so long before the audio of a successor begins is not in that. */
const SURELY_BEFORE_MS = 300;
/** No word: a speech is never matched across two messages. */
const END_OF_MESSAGE = '.';

interface DueCheck {
  readonly atMs: number;
  run(): void;
}

export class HistoryCheck implements Check {
  readonly #context: CheckContext;
  /** How often each word of the caller was in a final; 0: only in a guess. */
  readonly #recognised = new Map<string, number>();
  /** When each was first told. */
  readonly #guessedAtMs = new Map<string, number>();
  /** Of the recogniser's last guess; and whether that recogniser was lost since. */
  #guess: string[] = [];
  #guessIsLost = false;
  /** A turn without word times came then: where in the audio it ends can only be assumed. */
  #turnEndedAtMs = 0;
  /** Words that a recogniser had guessed when it was lost. */
  readonly #bequeathed = new Set<string>();
  /** The final of guessed words never came, and later words did: a successor that hears them again tells them after those. */
  #lacksFinal = false;
  /** And such a successor is there, or transcripts overtake each other: nobody can tell a repetition from a correction. */
  #inDisorder: boolean;
  /** Those of them that no other recogniser can hear again. */
  readonly #untold = new Set<string>();
  #digits = '';
  readonly #due: DueCheck[] = [];
  #last: ModelRequest | undefined;
  /** Requests of this moment, which are confirmed ones if a turn was confirmed in it, and what had been recognised before. */
  #fresh: { readonly request: ModelRequest; readonly owed: readonly string[]; readonly digits: string }[] = [];
  #confirmedAtMs = -1;

  constructor(context: CheckContext) {
    this.#context = context;
    this.#inDisorder = context.profile.stt.some(({ reordered, duplicate }) => reordered + duplicate > 0);
  }

  onTranscript(part: SttPart): void {
    if (part.type === 'transcript-interim' || part.type === 'turn-end-likely') this.#hear(part.text, 0);
    else if (part.type === 'transcript-final' || part.type === 'turn-ended') this.#hear(part.text, 1);
    else if (part.type === 'stream-opened') this.#bequeath(part.audioAgeMs ?? Infinity);
    if (part.type === 'turn-ended' && !part.words?.length) this.#turnEndedAtMs = this.#context.nowMs();
  }

  onEvent(event: CallEvent): void {
    const nowMs = this.#context.nowMs();
    switch (event.type) {
      case 'turn-confirmed':
        this.#confirmedAtMs = nowMs;
        return;
      case 'speculation-hit':
        if (this.#last) this.#checkNothingLost(this.#last, this.#owed(), this.#digits);
        return;
      case 'false-interruption':
        return this.#checkAlarm(event.text);
      case 'dtmf':
        this.#digits += event.digit;
        return;
      case 'agent-said':
        return this.#checkSaid(event, nowMs);
      default:
    }
  }

  onModelRequest(request: ModelRequest): void {
    this.#last = request;
    this.#fresh.push({ request, owed: this.#owed(), digits: this.#digits });
    this.#checkCallerWords(request.request.messages);
    const messages = request.request.messages.filter(({ role }) => role === 'assistant');
    const words = messages.flatMap(({ content }) => [...wordsOf(content), END_OF_MESSAGE]);
    const speeches = [...this.#context.far.speeches];
    this.#later(() => this.#checkHeard(words, speeches, `request ${request.number}`));
  }

  settle(nowMs: number): void {
    for (const { request, owed, digits } of this.#fresh) {
      if (this.#confirmedAtMs === request.startedAtMs) this.#checkNothingLost(request, owed, digits);
    }
    this.#fresh = [];
    while (this.#due[0] && this.#due[0].atMs <= nowMs) this.#due.shift()?.run();
  }

  finish(): void {
    for (const due of this.#due.splice(0)) due.run();
  }

  #hear(text: string, times: number): void {
    const words = callerWordsIn(text);
    for (const word of words) {
      this.#recognised.set(word, (this.#recognised.get(word) ?? 0) + times);
      if (!this.#guessedAtMs.has(word)) this.#guessedAtMs.set(word, this.#context.nowMs());
    }
    if (text === '') return;
    const overtaken = this.#guessIsLost ? [] : this.#guess.filter((word) => !words.includes(word));
    for (const word of overtaken) {
      this.#guessedAtMs.delete(word);
      this.#bequeathed.delete(word);
    }
    this.#lacksFinal ||= overtaken.length > 0;
    this.#guess = times === 0 ? words : [];
    this.#guessIsLost = false;
    this.#comeTo(words);
  }

  /** A successor that says what was before a lost guess hears the guess itself next: until then it is not lost. */
  #comeTo(words: readonly string[]): void {
    const last = Math.max(...words.map(callerWordIndex));
    const isBefore = words.length > 0 && [...this.#bequeathed].every((word) => callerWordIndex(word) > last);
    if (isBefore) this.#bequeathed.clear();
  }

  /**
   * The successor of a lost recogniser hears the last seconds again: what was guessed before those stays, if the two overlap. Where
   * words are misheard or not heard, nobody can tell which of a guess were those.
   */
  #bequeath(audioAgeMs: number): void {
    this.#guessIsLost = true;
    const { profile, voice } = this.#context;
    // What one was deaf to the next may hear, after what the first had told.
    this.#inDisorder ||= this.#lacksFinal || profile.stt.some(({ deafToWord }) => deafToWord > 0);
    const isClear = profile.stt.every(
      (each) => each.deafToWord + each.secondThoughts + each.reordered + each.duplicate === 0,
    );
    const newest = voice.sounds.find(({ text }) => callerWordsIn(text)[0] === this.#guess.at(-1));
    const heardAgainFromMs = Math.max(this.#context.nowMs() - REPLAY_MS, this.#turnEndedAtMs);
    const overlaps = newest !== undefined && newest.startMs > heardAgainFromMs + HALF_WORD_MS;
    if (!isClear || !overlaps) this.#bequeathed.clear();
    else for (const word of this.#guess) this.#bequeathed.add(word);
    // What was told before its audio begins is told to nobody else.
    const sureMs = this.#context.nowMs() - audioAgeMs - SURELY_BEFORE_MS;
    for (const word of this.#guess) if ((this.#guessedAtMs.get(word) ?? Infinity) < sureMs) this.#untold.add(word);
  }

  #later(run: () => void): void {
    this.#due.push({ atMs: this.#context.nowMs() + SETTLED_MS, run });
  }

  #checkCallerWords(messages: readonly LlmMessage[]): void {
    const { fail } = this.#context;
    const words = callerWords(messages);
    let lastIndex = -1;
    const seen = new Map<string, number>();
    for (const word of words) {
      const finals = this.#recognised.get(word);
      if (finals === undefined) return fail('caller-words', `"${word}" is in the history and was never recognised`);
      const times = (seen.get(word) ?? 0) + 1;
      seen.set(word, times);
      if (times > Math.max(1, finals) && !this.#inDisorder)
        return fail('caller-words', `"${word}" was recognised once and is in the history ${times} times`);
      // As they were said.
      const index = callerWordIndex(word);
      if (index < lastIndex && times === 1 && !this.#inDisorder) {
        return fail('caller-words', `"${word}" is out of order in the history: ${words.join(' ')}`);
      }
      lastIndex = index;
    }
  }

  /** What must be in a request that answers the caller now: all that was recognised for good. */
  #owed(): string[] {
    return [...this.#recognised].flatMap(([word, finals]) =>
      finals > 0 || this.#bequeathed.has(word) || this.#untold.has(word) ? [word] : [],
    );
  }

  #checkNothingLost({ number, request }: ModelRequest, owed: readonly string[], digits: string): void {
    const { fail } = this.#context;
    const words = new Set(callerWords(request.messages));
    const lost = owed.find((word) => !words.has(word));
    if (lost) fail('caller-words', `"${lost}" was recognised and is missing from request ${number}`);
    const told = request.messages
      .flatMap(({ role, content }) => (role === 'user' ? (content.match(/\d/gu) ?? []) : []))
      .join('');
    if (told !== digits) fail('caller-words', `the keys ${digits} were pressed, and request ${number} has ${told}`);
  }

  /** Only "go on" and too few words to count may be taken for nothing. */
  #checkAlarm(text: string): void {
    const { agent, fail } = this.#context;
    const words = callerWordsIn(text);
    if (words.length >= agent.turnTaking.bargeInMinWords)
      fail('hold', `"${words.join(' ')}" was taken for a false alarm`);
  }

  #checkSaid(event: Extract<CallEvent, { type: 'agent-said' }>, nowMs: number): void {
    const { far, fail } = this.#context;
    const speech = far.speeches.at(-1);
    if (!speech) return fail('heard-words', 'the log says that something was said, and nothing was sent');
    if (!event.interrupted && speech.sentTo < speech.take.delivered) {
      const [sent, made] = [speech.sentTo / BYTES_PER_MS, speech.take.delivered / BYTES_PER_MS];
      fail('heard-words', `take ${speech.take.id} counts as heard in full, and only ${sent} of ${made} ms were sent`);
    }
    const words = wordsOf(event.heard_text);
    if (!event.interrupted && words.length !== wordsOf(event.text).length) {
      fail('heard-words', `take ${speech.take.id} counts as heard in full with a part of its text`);
    }
    this.#later(() => {
      const message = messagesOf(far.speeches).find((each) => each.includes(speech)) ?? [speech];
      const match = this.#match(words, 0, message, `agent-said at ${Math.round(nowMs)}`);
      if (typeof match === 'string') return fail('heard-words', match);
      if (match.includes(words.length)) return;
      const extra = words.slice(match[0]).join(' ');
      fail('heard-words', `agent-said has words that take ${speech.take.id} does not: ${extra}`);
    });
  }

  #checkHeard(words: readonly string[], speeches: readonly Speech[], where: string): void {
    const misfit = this.#misfit(words, 0, messagesOf(speeches), where);
    if (misfit !== undefined) this.#context.fail('heard-words', misfit);
  }

  /**
   * Walks over what the ear heard, message by message, and takes from `words` what belongs to each: what does not fit, whichever way
   * the words are shared out among messages that begin alike. Undefined: they fit.
   */
  #misfit(words: readonly string[], at: number, [message, ...later]: readonly Speech[][], where: string) {
    if (!message) {
      if (at === words.length) return undefined;
      return `${where}: the history holds words nobody heard: ${words.slice(at, at + 12).join(' ')}`;
    }
    const match = this.#match(words, at, message, where);
    if (typeof match === 'string') return match;
    let misfit: string | undefined;
    for (const matched of match) {
      const next = at + matched + (words[at + matched] === END_OF_MESSAGE ? 1 : 0);
      const laterMisfit: string | undefined = this.#misfit(words, next, later, where);
      if (laterMisfit === undefined) return undefined;
      misfit ??= laterMisfit;
    }
    return misfit;
  }

  /** How many of the words from `at` on may be the message's; a text: what is wrong with them, as the ear heard it. */
  #match(words: readonly string[], at: number, message: readonly Speech[], where: string): readonly number[] | string {
    const { far, profile } = this.#context;
    const said = wordsOfMessage(message, far, this.#context.nowMs());
    const takes = message.map(({ take }) => take);
    let matched = 0;
    while (matched < said.length && words[at + matched] === said[matched]?.word) matched++;
    const exact =
      takes.every(({ spans }) => spans === 'words') && profile.marks !== 'never' && profile.marks !== 'lossy';
    const heard = said.findLastIndex(({ share }) => share >= 0.5) + 1;
    // Without alignment, how fast a voice speaks is only known when all of it has come.
    const isGuess = takes.some(({ spans, state }) => spans !== 'words' && state !== 'finished');
    const tolerance = exact ? 1 : 3 + (isGuess ? Math.ceil(heard * UNKNOWN_PACE) : 0);
    const earTo = said[heard - 1]?.to ?? 0;
    const news = (samples: number, ms: number) => samples + ms * BYTES_PER_MS;
    const least = said.filter(({ to }) => to <= news(earTo, -newsAgeMs(profile))).length - tolerance;
    const most = said.filter(({ from }) => from < news(earTo, stallMs(profile))).length + tolerance;
    // Two speeches may begin alike. A message is one speech's; of one that was hardly heard there may be none.
    const next = words[at + matched];
    if (least <= 0) {
      const isWhole = matched <= most && (next === undefined || next === END_OF_MESSAGE);
      return isWhole && matched > 0 ? [matched, 0] : [0];
    }
    if (matched < least || matched > most) {
      const upTo = (end: number) =>
        said
          .slice(0, end)
          .slice(-4)
          .map(({ word }) => word)
          .join(' ');
      const take = takes.map(({ id }) => id).join(' and ');
      return `${where}: take ${take} to word ${matched} "…${upTo(matched)}", the ear heard to ${heard} "…${upTo(heard)}"`;
    }
    return [matched];
  }
}

function callerWords(messages: readonly LlmMessage[]): string[] {
  return messages.flatMap(({ role, content }) => (role === 'user' ? callerWordsIn(content) : []));
}
