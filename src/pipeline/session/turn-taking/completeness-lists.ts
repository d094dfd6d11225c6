/**
 * How sentences end in languages without rules of their own: by their last word, and by a list of plain answers. That is less than
 * the English and German rules know, and more than punctuation says, which many recognisers do not write.
 */
import type { Completeness, LastSentence } from './completeness.ts';

interface Lists {
  /** An answer for itself, without a full stop too. */
  readonly answers: ReadonlySet<string>;
  /** Something must follow, whatever a recogniser's full stop says. */
  readonly neverLast: ReadonlySet<string>;
  /** Something must follow, unless there is a full stop. */
  readonly rarelyLast: ReadonlySet<string>;
}

const lists = (answers: string, neverLast: string, rarelyLast: string): Lists => ({
  answers: new Set(answers.split(/,\s+/u)),
  neverLast: new Set(neverLast.split(/\s+/u)),
  rarelyLast: new Set(rarelyLast.split(/\s+/u)),
});

const BY_LANGUAGE: Readonly<Record<string, Lists>> = {
  es: lists(
    `sí, si, no, vale, ok, claro, claro que sí, por supuesto, gracias, muchas gracias, no gracias, sí gracias, sí por favor, por favor, hola,
    buenos días, buenas tardes, buenas noches, adiós, hasta luego, correcto, exacto, así es, eso es, de acuerdo, perfecto, muy bien, bien,
    bueno, no sé, no lo sé, nada más, eso es todo, quizás, tal vez, hoy, mañana, ahora, nunca, siempre`,
    `y e o u pero que porque cuando como de del al a en con sin por para sobre entre hasta desde el la los las un una unos unas mi mis tu su
    sus nuestro nuestra eh em este pues muy`,
    `es son está están soy estoy tengo tiene quiero quisiera quería necesito puedo puede hay llamo llama si`,
  ),
  fr: lists(
    `oui, non, si, ouais, d'accord, ok, bien sûr, merci, merci beaucoup, non merci, oui merci, oui s'il vous plaît, s'il vous plaît, bonjour,
    bonsoir, au revoir, allô, exactement, exact, c'est ça, voilà, parfait, très bien, bien, bon, tout à fait, peut être, je ne sais pas,
    je sais pas, c'est tout, aujourd'hui, demain, maintenant, jamais, toujours`,
    `et ou mais que parce car quand comme de du des à au aux dans avec sans sur chez vers par un une mon ma mes ton ta tes son sa ses notre
    votre nos vos ce cette ces euh heu ben donc puis très dont`,
    `le la les si en pour est suis sont ai a avons voudrais veux peux peut appelle je il c'est m'appelle j'ai j'aimerais qu'il qu'elle`,
  ),
  it: lists(
    `sì, si, no, va bene, ok, certo, certamente, grazie, grazie mille, no grazie, sì grazie, sì per favore, per favore, buongiorno, buonasera,
    arrivederci, pronto, esatto, esattamente, giusto, perfetto, d'accordo, bene, benissimo, forse, non lo so, non so, è tutto, oggi, domani,
    adesso, mai, sempre`,
    `e ed o ma che quando come di del dello della dei degli delle a al allo alla ai agli alle da dal dalla in nel nella con per su sul sulla
    tra fra il i gli un uno una ehm eh cioè quindi dunque`,
    `lo la le li se è sono ho ha vorrei voglio posso può chiamo mio mia miei mie suo sua nostro nostra`,
  ),
  pt: lists(
    `sim, não, ok, claro, com certeza, obrigado, obrigada, muito obrigado, muito obrigada, não obrigado, não obrigada, sim por favor,
    por favor, olá, bom dia, boa tarde, boa noite, tchau, adeus, até logo, certo, isso, isso mesmo, exatamente, perfeito, está bem, tá bom,
    tudo bem, talvez, não sei, é tudo, é só isso, hoje, amanhã, agora, nunca, sempre`,
    `e ou mas que quando como de do da dos das em no na nas ao à aos às com sem por para pelo pela sobre entre desde um uma uns umas hum ahn`,
    `o a os as se porque meu minha meus minhas seu sua é são estou tenho tem quero queria gostaria posso pode chamo`,
  ),
  nl: lists(
    `ja, nee, oké, ok, goed, prima, graag, ja graag, nee dank u, nee bedankt, dank u, dank u wel, dankjewel, bedankt, hallo, goedemorgen,
    goedemiddag, goedenavond, dag, tot ziens, klopt, dat klopt, precies, inderdaad, natuurlijk, zeker, misschien, ik weet het niet,
    weet ik niet, dat is alles, vandaag, morgen, nu, nooit, altijd, alstublieft`,
    `en of maar omdat want de een mijn uw onze eh ehm uh uhm`,
    `dat het van voor met te bij naar is ben heb heeft heet wil kan zou dus als`,
  ),
};

/** Judges the last sentence of an utterance; a language without lists goes by punctuation. */
export function listedEnding({ words, stop }: LastSentence, tag: string): Completeness {
  const known = BY_LANGUAGE[tag];
  const bare = stop ? 'complete' : 'open';
  if (known === undefined) return bare;
  if (known.answers.has(words.join(' '))) return 'complete';
  const last = words.at(-1) ?? '';
  if (known.neverLast.has(last)) return 'incomplete';
  return !stop && known.rarelyLast.has(last) ? 'incomplete' : bare;
}
