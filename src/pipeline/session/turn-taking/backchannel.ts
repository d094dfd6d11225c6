/** Words by which a listener says "go on" without wanting the floor. */
import { normaliseTranscript } from '../../text/normalise.ts';

const list = (text: string): readonly string[] => text.split(/,\s+/u);

const LISTS: Readonly<Record<string, readonly string[]>> = {
  en: list(
    `yeah, yes, yep, yup, ya, yea, aye, uh huh, huh, mm hmm, mhm, okay, ok, okey dokey, k, right, all right, alright, sure,
    sure thing, i see, i know, i understand, understood, got it, gotcha, got you, i got you, exactly, absolutely,
    definitely, totally, indeed, true, of course, correct, that's right, that's true, makes sense, that makes sense,
    fair enough, fine, good, great, nice, cool, perfect, wonderful, wow, oh wow, really, oh really, interesting, go on, oh,
    ah, aha, hm, uh, um, er, erm, oh my, oh dear, haha`,
  ),
  de: list(
    `ja, jo, jep, jaja, joa, jawohl, genau, okay, ok, gut, sehr gut, alles klar, klar, na klar, verstehe, ich verstehe,
    verstanden, ach so, achso, ach ja, ach, aha, soso, richtig, stimmt, das stimmt, natürlich, sicher, eben, in ordnung,
    schön, super, prima, toll, ah, oh, hm, mhm, äh, ähm, wirklich, echt, wow, passt, einverstanden, weiter, haha`,
  ),
  es: list(
    `sí, si, ajá, aja, vale, ok, okay, claro, claro que sí, bueno, bien, muy bien, ya, ya veo, entiendo, entendido,
    de acuerdo, perfecto, exacto, exactamente, correcto, cierto, así es, eso, eso es, por supuesto, ah, oh, eh, hm, mhm,
    anda, en serio, jaja, comprendo, dale`,
  ),
  fr: list(
    `oui, ouais, ouai, d'accord, ok, okay, bien, très bien, bon, voilà, exactement, exact, tout à fait, je vois,
    je comprends, compris, j'ai compris, bien sûr, parfait, c'est ça, c'est vrai, ah, ah bon, ah oui, oh, euh, hein, hm,
    mhm, absolument, effectivement, entendu, super, vraiment, haha`,
  ),
  it: list(
    `sì, si, già, certo, va bene, ok, okay, bene, molto bene, benissimo, ho capito, capisco, capito, esatto, esattamente,
    giusto, perfetto, d'accordo, certamente, è vero, davvero, ah, oh, eh, ehm, hm, mhm, haha`,
  ),
  pt: list(
    `sim, claro, está bem, tá, tá bom, certo, ok, okay, bom, muito bem, entendi, entendo, percebi, percebo, exato,
    exatamente, isso, isso mesmo, pois, pois é, perfeito, com certeza, é verdade, sério, ah, oh, hm, mhm, haha`,
  ),
  nl: list(
    `ja, jawel, oké, okay, ok, goed, heel goed, prima, precies, inderdaad, ik snap het, snap ik, ik begrijp het,
    begrijp ik, klopt, dat klopt, juist, zeker, natuurlijk, tuurlijk, mooi, echt, echt waar, ah, oh, aha, hm, mhm, haha`,
  ),
};
/** For the other languages: what is hummed is hummed everywhere. */
const HUMMED = ['okay', 'ok', 'hm', 'mhm', 'ah', 'oh', 'uh huh', 'aha'];

/** What somebody says who waits for an answer: it asks for nothing but that. */
const WAITING: Readonly<Record<string, readonly string[]>> = {
  en: list(
    `hello, hi, are you there, are you still there, you there, you still there, is anybody there, is anyone there, anybody there,
    anyone there, can you hear me, um, uh, er, erm, uh huh`,
  ),
  de: list(
    `hallo, sind sie da, sind sie noch da, bist du da, bist du noch da, noch da, ist da jemand, jemand da, hören sie mich,
    können sie mich hören, hörst du mich, äh, ähm`,
  ),
  es: list(
    'hola, aló, oiga, está ahí, sigue ahí, estás ahí, hay alguien, hay alguien ahí, me oye, me escucha, me oyes, eh',
  ),
  fr: list(
    `allô, allo, vous êtes là, vous êtes toujours là, tu es là, il y a quelqu'un, vous m'entendez, tu m'entends, euh`,
  ),
  it: list(`pronto, è lì, è ancora lì, ci sei, c'è qualcuno, mi sente, mi senti, ehm`),
  pt: list('alô, está aí, ainda está aí, tem alguém aí, está me ouvindo, me ouve, hum'),
  nl: list('hallo, bent u er, bent u er nog, bent u daar, ben je er nog, is daar iemand, hoort u mij, eh, ehm'),
};

/** However a recogniser writes a hum: "mmm", "hmm", "mhmm". */
const HUM = /^h*m+h*m*$/u;
/** Drawn-out words: "yeahhh", "ohh", "sooo". Both sides of every comparison are shortened, so "see" stays "see" to itself. */
const DRAWN_OUT = /(\p{L})(?:\1{2,}|\1+$)/gu;

/** Whoever says one of these is not done. */
export const WAIT_WORDS: ReadonlySet<string> = new Set(
  (
    'wait hold stop moment warte warten stopp halt espera espere esperen momento attends attendez aspetta aspetti ' +
    'wacht'
  ).split(' '),
);
/** These take the floor, whatever an agent's own list says: somebody who says them wants the agent to stop. */
const TAKES_FLOOR: ReadonlySet<string> = new Set([
  ...wordsOf([...WAIT_WORDS].join(' ')),
  ...wordsOf('no nope cancel quiet nein nee para pare alto non arrête arrêtez basta não'),
]);

/**
 * Whether an utterance is nothing but backchannels, repeated and combined at will ("uh-huh, yeah, okay").
 * `own`: the agent's list, instead of the language's. An utterance without words is none.
 */
export function isBackchannel(text: string, language: string, own?: readonly string[]): boolean {
  const words = wordsOf(text);
  return words.length > 0 && spanOf(words, phrasesFor(language, own)) === 0;
}

/**
 * How many words an utterance has when the backchannels around it are taken off: 0 for "yeah, okay", 3 for "yeah, but how much".
 * "No", "stop" and "wait" always count.
 */
export function meaningfulWords(text: string, language: string, own?: readonly string[]): number {
  return spanOf(wordsOf(text), phrasesFor(language, own));
}

/** Whether all that an utterance says is that its speaker is there and waits ("Hello? Are you there?"), or thinks ("um"). */
export function asksForNothing(text: string, language: string): boolean {
  const words = wordsOf(text);
  return words.length > 0 && spanOf(words, waitingPhrases.get(primaryTag(language)) ?? preparedHums) === 0;
}

/** The words from the first to the last that no backchannel covers. Covers as many words as can be covered. */
function spanOf(words: readonly string[], phrases: Phrases): number {
  const leading = coveredFrom(words, phrases);
  if (leading === words.length) return 0;
  const trailing = coveredFrom([...words].reverse(), phrases, true);
  return Math.max(1, words.length - leading - trailing);
}

/** How many words at the beginning are a sequence of phrases; `reversed`: words are in reverse order. */
function coveredFrom(words: readonly string[], phrases: Phrases, reversed = false): number {
  const reachable = new Set([0]);
  let farthest = 0;
  for (let start = 0; start < words.length; start++) {
    if (!reachable.has(start)) continue;
    for (let length = 1; length <= phrases.longest && start + length <= words.length; length++) {
      const slice = words.slice(start, start + length);
      if (!phrases.texts.has((reversed ? slice.reverse() : slice).join(' '))) continue;
      reachable.add(start + length);
      farthest = Math.max(farthest, start + length);
    }
  }
  return farthest;
}

interface Phrases {
  readonly texts: ReadonlySet<string>;
  /** Of the phrase with the most words. */
  readonly longest: number;
}

/** Lists do not change during a call: each is prepared once. */
const preparedByLanguage = new Map<string, Phrases>(
  Object.entries(LISTS).map(([language, phrases]) => [language, prepare(phrases)]),
);
const waitingPhrases = new Map<string, Phrases>(
  Object.entries(WAITING).map(([language, phrases]) => [language, prepare([...phrases, 'hm'])]),
);
const preparedHums = prepare(HUMMED);
const preparedOwn = new WeakMap<readonly string[], Phrases>();

function phrasesFor(language: string, own: readonly string[] | undefined): Phrases {
  if (own === undefined) return preparedByLanguage.get(primaryTag(language)) ?? preparedHums;
  const known = preparedOwn.get(own);
  if (known !== undefined) return known;
  const prepared = prepare(own);
  preparedOwn.set(own, prepared);
  return prepared;
}

function prepare(phrases: readonly string[]): Phrases {
  const texts = new Set<string>();
  let longest = 1;
  for (const phrase of phrases) {
    const words = wordsOf(phrase);
    if (words.length === 0 || words.some((word) => TAKES_FLOOR.has(word))) continue;
    texts.add(words.join(' '));
    longest = Math.max(longest, words.length);
  }
  return { texts, longest };
}

function wordsOf(text: string): string[] {
  const normalised = normaliseTranscript(text);
  if (normalised === '') return [];
  return normalised.split(' ').map((word) => (HUM.test(word) ? 'hm' : word.replace(DRAWN_OUT, '$1')));
}

/** "en" of "en-GB". */
function primaryTag(language: string): string {
  return (language.split('-', 1)[0] ?? '').toLowerCase();
}
