/** How a German sentence ends, finished or not. */
import type { Completeness, LastSentence } from './completeness.ts';

const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/u));

const SHORT_ANSWERS: ReadonlySet<string> = new Set(
  [
    'ja|jo|jep|jawohl|ja bitte|ja gerne|ja gern|ja genau|ja klar|nein|nee|nö|nein danke|doch|genau|richtig|stimmt|das stimmt|okay|ok|gut|sehr gut|klar|na klar',
    'alles klar|in ordnung|sicher|natürlich|gerne|gern|danke|danke schön|dankeschön|vielen dank|danke sehr|bitte|bitte schön|hallo|guten tag|guten morgen',
    'guten abend|moin|servus|grüß gott|grüezi|tschüss|tschüs|ciao|auf wiedersehen|auf wiederhören|schönen tag noch|vielleicht|wahrscheinlich|keine ahnung',
    'weiß ich nicht|ich weiß nicht|ich weiß es nicht|ich glaube schon|ich denke schon|das wars|das war es|das ist alles|das passt|passt|perfekt|super|prima',
    'toll|mhm|hm hm|stopp|halt|warten|warte|warten sie|moment|einen moment|einen moment bitte|was|wie|wie bitte|wer|wo|wann|warum|wieso|heute|morgen|jetzt',
    'noch nicht|nicht wirklich|gar nicht|nichts|niemand|beide|beides|egal|entschuldigung|verstanden|verstehe|ich verstehe|bin ich|habe ich|das bin ich|nie|immer',
  ].flatMap((line) => line.split('|')),
);
const OPENERS = words('ja nein doch also äh ähm hm okay ok gut hallo na naja nun und aber ach bitte danke');
const ANSWER_WORDS = words('ja nein doch okay ok gut hallo bitte danke');
const FILLERS = words('äh ähm öh hm hmm em also naja sozusagen quasi halt eben irgendwie nämlich');
/** Something must follow, whatever stands before. */
const NEVER_LAST = words(
  'und oder aber weil dass ob wenn denn sondern obwohl damit sodass falls bevor nachdem während als wie dem den ein eine einen einem einer eines mein meine meinen ' +
    'meinem meiner dein deine ihren ihrem unser unsere unseren kein keine keinen keinem im am ins ans beim vom zum zur von für über unter hinter neben zwischen ' +
    'gegen ohne bis seit wegen trotz bei in des der die sehr ganz herr frau welche welcher welches welchen',
);
/** Prepositions that are also the end of a verb: "ich rufe an", "was ist los". */
const PARTICLES = words('an auf aus mit zu ab ein vor nach um zurück los weg weiter');
const PARTICLE_STEMS =
  /^(?:ruf|meld|fang|fäng|hol|mach|komm|geb|gib|nehm|nimm|schick|bring|bieten?|biet|leg|steig|hör|pass|geh|fahr|fähr|lauf|läuf|schau|seh|sieh|zieh|stell|les|lies|sag|lehn|schließ|ist|sind|was)/u;
const VERBS_AND_AUXILIARIES = words(
  'ist sind war waren bin habe hab hat haben hatte hätte möchte möchten will wollte wollen würde würden kann könnte können muss müssen soll sollte darf brauche ' +
    'heiße lautet heißt suche nehme gern gerne',
);
/** After one of these the verb comes last. */
const VERB_LAST = words(
  'ob dass weil wenn wo wie was wann warum wer wen wem wieso woher wohin wieviel welche welcher welches die der das als bis obwohl falls damit',
);
const QUESTION_START =
  /^(?:was|wie|wo|wann|warum|wieso|weshalb|wer|wen|wem|woher|wohin|welche[rsmn]?|wieviel|ist|sind|war|hat|haben|habt|hast|kann|können|könnten|könnte|kannst|darf|dürfte|gibt|muss|müssen|soll|sollte|will|wollen|würden|würde|machen|bieten|geht|kostet|nehmen|liegt|bin|habe|möchten) \S+ \S+/u;
const MODAL =
  /(?:^| )(?:möchten?|will|wollen|wollte|kann|können|könnten?|muss|müssen|würden?|soll|sollten?|darf|werden?|wird) /u;
const ENDS_IN_VERB = /(?:\p{L}{2,}(?:en|ern|eln)|tun|sein|ge\p{L}{2,}t|\p{L}+ge\p{L}{2,}(?:t|en))$/u;
/** They look like verbs. */
const NOUNS = words(
  'personen tagen wochen stunden minuten zimmern nächten kindern erwachsenen leuten plätzen karten namen wagen garten morgen termin norden süden osten westen ' +
    'hafen rahmen euro bremen münchen essen unterlagen rechnungen terminen fragen daten',
);
const PERFECT = /(?:^| )(?:habe|hab|hat|haben|bin|ist|sind|wurde|worden|wird|werden) /u;
const SHORT_ANSWER =
  /^(?:(?:um|am|im|in|für|mit|nach|gegen|ab|zum|zur|bei|auf|an|aus|von|vor|bis|seit) \S+(?: \S+){0,3}|(?:\S+ ){0,3}(?:uhr|heute|morgen|übermorgen|gestern|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag|januar|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember|personen|minuten|stunden|tage|wochen|bitte|danke|abend|früh|mittag)|(?:der|die|das|ein|eine|einen|mein|meine|nur|nicht|kein|keine|zwei|drei|vier|fünf|\d+) \S+(?: \S+)?|eins|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|\d+)$/u;

/** Judges the last sentence of an utterance that ends in a full stop or in nothing. */
export function germanEnding({ words: all, stop, stopMissing }: LastSentence): Completeness {
  if (SHORT_ANSWERS.has(all.join(' '))) return 'complete';
  const first = all.findIndex((word) => !OPENERS.has(word));
  if (first === -1) return ANSWER_WORDS.has(all.at(-1) ?? '') ? 'complete' : 'incomplete';
  const rest = all.slice(first);
  if (SHORT_ANSWERS.has(rest.join(' '))) return 'complete';
  const ending = unfinishedEnding(rest, stop);
  if (ending !== undefined) return ending;
  if (stop) return 'complete';
  const whole = wholeWithoutStop(rest);
  return stopMissing && whole === 'complete' && rest.length > 3 ? 'open' : whole;
}

function unfinishedEnding(sentence: readonly string[], stop: boolean): Completeness | undefined {
  const last = sentence.at(-1) ?? '';
  if (FILLERS.has(last)) return stop ? 'open' : 'incomplete';
  if (NEVER_LAST.has(last)) return 'incomplete';
  if (PARTICLES.has(last)) {
    if (stop || sentence.slice(0, -1).some((word) => PARTICLE_STEMS.test(word))) return undefined;
    return 'incomplete';
  }
  if (VERBS_AND_AUXILIARIES.has(last)) {
    // "…, ob das möglich ist", "ja das habe ich": the verb at the end is where it belongs.
    const verbLast = sentence.slice(0, -2).some((word) => VERB_LAST.has(word)) && sentence.length > 3;
    return verbLast ? 'complete' : 'incomplete';
  }
  if (/^(?:ich|wir|er|man)$/u.test(last) && !stop) return sentence.length === 2 ? 'open' : 'incomplete';
  return undefined;
}

function wholeWithoutStop(sentence: readonly string[]): Completeness {
  const rest = sentence.join(' ');
  const last = sentence.at(-1) ?? '';
  if (/^(?:wenn|falls|weil|obwohl|nachdem|bevor|als|sobald) /u.test(rest)) return 'open';
  if (QUESTION_START.test(rest)) return MODAL.test(`${rest} `) && !endsInVerb(last) ? 'open' : 'complete';
  if (SHORT_ANSWER.test(rest)) return 'complete';
  // "Ich möchte einen Tisch für zwei Personen …": the verb is still to come, or was never needed.
  if (MODAL.test(rest) || PERFECT.test(rest)) {
    return endsInVerb(last) || /^(?:mein name|ich bin|es ist|das ist) /u.test(rest) ? 'complete' : 'open';
  }
  if (/^(?:ich|wir|es|das|mein|meine|der|die|sie|er) \S+(?:e|t|en|st) \S+/u.test(rest) && sentence.length >= 4)
    return 'complete';
  return 'open';
}

function endsInVerb(word: string): boolean {
  return ENDS_IN_VERB.test(word) && !NOUNS.has(word);
}
