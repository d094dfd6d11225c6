/** Whose floor it is: what must be spoken to its end is, and a "yes" to the end of what the agent said is no "go on". */
import { BYTES_PER_MS } from '../../../src/media/call-port.ts';
import type { CallEvent } from '../../../src/pipeline/events.ts';
import type { SttPart } from '../../../src/pipeline/providers/spec.ts';
import { isBackchannel } from '../../../src/pipeline/session/turn-taking/backchannel.ts';
import type { Speech } from '../far-side.ts';
import type { Take } from '../takes.ts';
import { wordsOf } from '../words.ts';
import type { Check, CheckContext } from './check.ts';
import { newsAgeMs } from './check.ts';

/** So little of what the agent says is left, as far as the session can know, when a "yes" surely answers it. */
const NEARLY_OVER_MS = 900;
/** A hum so soon after the first audio of a reply is a "go on" to what has only begun. */
const JUST_BEGUN_MS = 600;
/** A transcript that comes later than this after its word may concern something else. */
const PROMPT_MS = 900;
/** From the transcript, the last sound and the agent's last word on: the longest wait for words to be complete, and a margin. */
const CONFIRM_MS = 3_000;
/** What the session knows of the ear is exact to about a word. */
const WORD_MS = 500;

export class FloorCheck implements Check {
  readonly #context: CheckContext;
  /** A "yes" that must become a turn. */
  #answer: { readonly text: string; readonly speech: Speech; readonly sinceMs: number } | undefined;
  #lastVoiceMs = 0;

  constructor(context: CheckContext) {
    this.#context = context;
  }

  onEvent(event: CallEvent): void {
    switch (event.type) {
      case 'interruption-suspected':
      case 'barge-in':
        return this.#checkProtected(event.type);
      // Keys belong to the same turn, and more of them are waited for.
      case 'dtmf':
      case 'turn-confirmed':
      case 'turn-failed':
      case 'call-ended':
        this.#answer = undefined;
        return;
      default:
    }
  }

  onVoice(): void {
    this.#lastVoiceMs = this.#context.nowMs();
  }

  onTranscript(part: SttPart): void {
    if (part.type !== 'transcript-final' && part.type !== 'turn-ended') return;
    const { agent, far, voice, profile } = this.#context;
    const nowMs = this.#context.nowMs();
    const speech = far.speeches.at(-1);
    if (!speech || !isBackchannel(part.text, agent.language)) return;
    const word = voice.sounds.findLast(({ text, endMs }) => endMs <= nowMs && text !== '');
    if (!word || nowMs - word.endMs > PROMPT_MS || wordsOf(part.text).join() !== wordsOf(word.text).join()) return;
    const { take } = speech;
    const leftMs = (take.delivered - far.heardTo(speech, word.startMs)) / BYTES_PER_MS;
    if (
      take.state !== 'finished' ||
      leftMs + newsAgeMs(profile) > NEARLY_OVER_MS ||
      speech.firstSentAtMs > word.startMs - JUST_BEGUN_MS
    )
      return;
    this.#answer = { text: part.text, speech, sinceMs: nowMs };
  }

  settle(nowMs: number): void {
    const { far, fail } = this.#context;
    if (!this.#answer) return;
    const { text, speech, sinceMs } = this.#answer;
    // Something else is being said by now.
    if (far.speeches.at(-1) !== speech) this.#answer = undefined;
    else if (nowMs - Math.max(sinceMs, this.#lastVoiceMs, far.lastAudibleMs(nowMs)) > CONFIRM_MS) {
      fail('answer', `"${text}" at the end of take ${speech.take.id} was taken for nothing`);
    }
  }

  /** Where the session knows the ear to the word. */
  #checkProtected(why: string): void {
    const { agent, far, profile, fail } = this.#context;
    const speech = far.speeches.at(-1);
    if (!speech || speech.over || profile.marks !== 'echoed' || speech.take.continues) return;
    const nowMs = this.#context.nowMs();
    for (const span of agent.turnTaking.neverInterrupt) {
      const place = placeOf(span, speech.take);
      if (!place || speech.take.spans !== 'words') continue;
      const heard = far.heardTo(speech, nowMs);
      const uncertain = (newsAgeMs(profile) + WORD_MS) * BYTES_PER_MS;
      if (heard > place.from + uncertain && heard < place.to - uncertain)
        fail('protected', `${why} ${Math.round((heard - place.from) / BYTES_PER_MS)} ms into "${span}"`);
    }
  }
}

/** Where in a take a text is said, in samples. */
function placeOf(text: string, take: Take): { readonly from: number; readonly to: number } | undefined {
  const wanted = wordsOf(text);
  const said = take.words.map(({ word }) => word);
  const at = said.findIndex((_, index) => wanted.every((word, offset) => said[index + offset] === word));
  const [first, last] = [take.words[at], take.words[at + wanted.length - 1]];
  return first && last && { from: first.from, to: last.to };
}
