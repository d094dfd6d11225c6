/** What the agent says when no model can say it for the moment. */
import type { AgentConfig } from '../ports.ts';
import { createChunker, endText, pushText } from '../text/chunker.ts';
import { makeSpeakable } from '../text/speakable.ts';
import type { Clause } from './state.ts';

export interface FixedPhrases {
  /** The caller spoke and no words came of it. */
  readonly pardon: string;
  /** A reply could not be made. */
  readonly trouble: string;
  /** No recogniser, model or voice can serve any more. */
  readonly cannotServe: string;
  /** The same, and a person takes over. */
  readonly handingOver: string;
  readonly timeIsUp: string;
  /** The maximum duration is near. */
  readonly timeRunsOut: string;
  /** The reply takes its time. */
  readonly filler: string;
  /** The server is about to stop. */
  readonly leaving: string;
}

const ENGLISH: FixedPhrases = {
  pardon: "Sorry, I didn't catch that. Could you say it again?",
  trouble: "I'm sorry, something went wrong on my side. Could you say that again?",
  cannotServe: "I'm sorry, I have technical trouble at the moment. Please call again in a few minutes.",
  handingOver: "I'm sorry, I have technical trouble at the moment. I am connecting you to a colleague.",
  leaving: "I'm sorry, I have to hang up now. Please call again in a minute.",
  timeRunsOut: 'Just so you know, we have to finish soon.',
  filler: 'One moment, please.',
  timeIsUp: 'I am sorry, our time is up. Thank you for calling. Goodbye.',
};

const GERMAN: FixedPhrases = {
  pardon: 'Entschuldigung, das habe ich nicht verstanden. Könnten Sie das wiederholen?',
  trouble: 'Entschuldigung, bei mir ist etwas schiefgegangen. Könnten Sie das noch einmal sagen?',
  cannotServe:
    'Entschuldigung, ich habe gerade technische Schwierigkeiten. Bitte rufen Sie in ein paar Minuten noch einmal an.',
  handingOver: 'Entschuldigung, ich habe gerade technische Schwierigkeiten. Ich verbinde Sie mit einem Kollegen.',
  leaving: 'Es tut mir leid, ich muss jetzt auflegen. Bitte rufen Sie gleich noch einmal an.',
  timeRunsOut: 'Nur zur Information: Wir müssen bald zum Ende kommen.',
  filler: 'Einen Moment bitte.',
  timeIsUp: 'Es tut mir leid, unsere Zeit ist um. Danke für Ihren Anruf. Auf Wiederhören.',
};

const SPANISH: FixedPhrases = {
  pardon: 'Perdone, no le he entendido. ¿Podría repetirlo?',
  trouble: 'Lo siento, algo ha fallado por mi parte. ¿Podría repetirlo?',
  cannotServe: 'Lo siento, en este momento tengo problemas técnicos. Por favor, llame de nuevo en unos minutos.',
  handingOver: 'Lo siento, en este momento tengo problemas técnicos. Le paso con un compañero.',
  leaving: 'Lo siento, tengo que colgar. Por favor, llame de nuevo en un minuto.',
  timeRunsOut: 'Solo para que lo sepa: tenemos que terminar pronto.',
  filler: 'Un momento, por favor.',
  timeIsUp: 'Lo siento, se nos ha acabado el tiempo. Gracias por llamar. Adiós.',
};

const FRENCH: FixedPhrases = {
  pardon: "Excusez-moi, je n'ai pas compris. Pourriez-vous répéter ?",
  trouble: "Excusez-moi, j'ai rencontré un problème. Pourriez-vous répéter ?",
  cannotServe: "Je suis désolé, j'ai un problème technique en ce moment. Veuillez rappeler dans quelques minutes.",
  handingOver: "Je suis désolé, j'ai un problème technique en ce moment. Je vous passe un collègue.",
  leaving: 'Je suis désolé, je dois raccrocher. Veuillez rappeler dans une minute.',
  timeRunsOut: 'Pour information, nous devrons bientôt terminer.',
  filler: "Un instant, s'il vous plaît.",
  timeIsUp: 'Je suis désolé, notre temps est écoulé. Merci de votre appel. Au revoir.',
};

const ITALIAN: FixedPhrases = {
  pardon: 'Mi scusi, non ho capito. Può ripetere?',
  trouble: "Mi scusi, c'è stato un problema da parte mia. Può ripetere?",
  cannotServe: 'Mi dispiace, al momento ho un problema tecnico. La prego di richiamare tra qualche minuto.',
  handingOver: 'Mi dispiace, al momento ho un problema tecnico. La metto in contatto con un collega.',
  leaving: 'Mi dispiace, devo riagganciare. La prego di richiamare tra un minuto.',
  timeRunsOut: 'Solo per informarla: tra poco dobbiamo concludere.',
  filler: 'Un momento, per favore.',
  timeIsUp: 'Mi dispiace, il nostro tempo è finito. Grazie per la chiamata. Arrivederci.',
};

const PORTUGUESE: FixedPhrases = {
  pardon: 'Desculpe, não entendi. Pode repetir?',
  trouble: 'Desculpe, houve um problema do meu lado. Pode repetir?',
  cannotServe:
    'Lamento, estou com um problema técnico neste momento. Por favor, ligue novamente dentro de alguns minutos.',
  handingOver: 'Lamento, estou com um problema técnico neste momento. Vou passar a chamada a um colega.',
  leaving: 'Lamento, tenho de desligar. Por favor, ligue novamente dentro de um minuto.',
  timeRunsOut: 'Só para avisar, temos de terminar em breve.',
  filler: 'Um momento, por favor.',
  timeIsUp: 'Lamento, o nosso tempo terminou. Obrigado pela chamada. Até logo.',
};

const DUTCH: FixedPhrases = {
  pardon: 'Sorry, dat heb ik niet verstaan. Kunt u dat herhalen?',
  trouble: 'Sorry, er ging bij mij iets mis. Kunt u dat nog eens zeggen?',
  cannotServe:
    'Het spijt me, ik heb op dit moment een technische storing. Belt u over een paar minuten alstublieft terug.',
  handingOver: 'Het spijt me, ik heb op dit moment een technische storing. Ik verbind u door met een collega.',
  leaving: 'Het spijt me, ik moet nu ophangen. Belt u over een minuut alstublieft terug.',
  timeRunsOut: 'Even ter informatie: we moeten bijna afronden.',
  filler: 'Een moment, alstublieft.',
  timeIsUp: 'Het spijt me, onze tijd is om. Bedankt voor uw telefoontje. Tot ziens.',
};

const BY_LANGUAGE: Readonly<Record<string, FixedPhrases>> = {
  en: ENGLISH,
  de: GERMAN,
  es: SPANISH,
  fr: FRENCH,
  it: ITALIAN,
  pt: PORTUGUESE,
  nl: DUTCH,
};

/** Phrases in the agent's language; English where there are none. */
export function fixedPhrases(language: string): FixedPhrases {
  return BY_LANGUAGE[(language.split('-', 1)[0] ?? '').toLowerCase()] ?? ENGLISH;
}

/** What the agent says before it takes its way out. */
export function fallbackText({ language, fallback }: AgentConfig): string {
  if (fallback.message !== '') return fallback.message;
  const phrases = fixedPhrases(language);
  return fallback.action === 'transfer' ? phrases.handingOver : phrases.cannotServe;
}

/** What must be sayable when nothing can be synthesised any more: texts in the pieces in which they are given to a voice. */
export function emergencyPieces(agent: AgentConfig): string[][] {
  return [fixedPhrases(agent.language).trouble, fallbackText(agent), agent.goodbyeMessage]
    .map((text) => fixedClauses(text, agent).flatMap(({ spoken }) => (spoken.trim() === '' ? [] : [spoken])))
    .filter((pieces) => pieces.length > 0);
}

/** A text that needs no model, as it is given to a voice: the same pieces in every call, so that their audio can be kept. */
export function fixedClauses(text: string, { language }: AgentConfig): Clause[] {
  const pushed = pushText(createChunker({ language }), text);
  const originals = [...pushed.clauses, ...endText(pushed.state).clauses];
  return originals.map((original) => ({ original, spoken: makeSpeakable(original, { language }) }));
}
