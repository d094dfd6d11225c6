/**
 * All that the product says of its own accord, and what it takes for a leave-taking, in each language: the one place for such texts.
 * To add a language, add its table and name it in `BY_LANGUAGE`.
 */

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
  /** Before the agent hangs up, unless the agent has words of its own. */
  readonly goodbye: string;
  /** Nobody has said anything for a while; unless the agent has words of its own. */
  readonly reminder: string;
  /**
   * With these callers take their leave, unless the agent has a list of its own; a few words may stand around them. None that also greets
   * ("ciao", "bom dia"), begins what is meant otherwise ("hasta la próxima semana"), or sounds like a common word ("bye").
   */
  readonly endCallPhrases: readonly string[];
}

const list = (text: string): readonly string[] => text.split(/,\s+/u);

const ENGLISH: FixedPhrases = {
  pardon: "Sorry, I didn't catch that. Could you say it again?",
  trouble: "I'm sorry, something went wrong on my side. Could you say that again?",
  cannotServe: "I'm sorry, I have technical trouble at the moment. Please call again in a few minutes.",
  handingOver: "I'm sorry, I have technical trouble at the moment. I am connecting you to a colleague.",
  leaving: "I'm sorry, I have to hang up now. Please call again in a minute.",
  timeRunsOut: 'Just so you know, we have to finish soon.',
  filler: 'One moment, please.',
  timeIsUp: 'I am sorry, our time is up. Thank you for calling. Goodbye.',
  goodbye: 'Thank you for calling. Goodbye.',
  reminder: 'Are you still there?',
  endCallPhrases: list(
    `goodbye, good bye, bye bye, bye now, okay bye, thanks bye, thank you bye, thank you goodbye,
    that's all thank you, that's all thanks, that is all thank you, have a nice day, have a great day`,
  ),
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
  goodbye: 'Vielen Dank für Ihren Anruf. Auf Wiederhören.',
  reminder: 'Sind Sie noch da?',
  endCallPhrases: list(
    `auf Wiederhören, Wiederhören, auf Wiedersehen, Wiedersehen, auf Wiederschauen, Tschüss, Tschüs, bis bald,
    schönen Tag noch, schönen Abend noch, noch einen schönen Tag, noch einen schönen Abend,
    danke das war alles, danke das wäre alles, danke das war's, das war alles danke,
    das wäre alles danke, das war's danke`,
  ),
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
  goodbye: 'Gracias por su llamada. Adiós.',
  reminder: '¿Sigue usted ahí?',
  endCallPhrases: list(
    `adiós, hasta luego, hasta pronto, chao, chau, que tenga un buen día, que tenga buen día,
    que tenga una buena tarde, que tenga buena tarde, nada más gracias, gracias nada más, eso es todo gracias,
    eso era todo gracias, gracias eso es todo, gracias eso era todo`,
  ),
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
  goodbye: 'Merci de votre appel. Au revoir.',
  reminder: 'Êtes-vous toujours là ?',
  endCallPhrases: list(
    `au revoir, à bientôt, bonne journée, bonne soirée, bonne fin de journée, merci c'est tout,
    c'est tout merci, merci ce sera tout, ce sera tout merci, merci c'était tout, c'était tout merci`,
  ),
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
  goodbye: 'Grazie per la chiamata. Arrivederci.',
  reminder: 'È ancora in linea?',
  endCallPhrases: list(
    `arrivederci, arrivederla, a presto, buona giornata, buona serata, ciao ciao, grazie ciao,
    grazie mille ciao, va bene ciao, ok ciao, grazie è tutto, è tutto grazie, grazie basta così, basta così grazie`,
  ),
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
  timeIsUp: 'Lamento, o nosso tempo terminou. Agradecemos a sua chamada. Até logo.',
  goodbye: 'Agradecemos a sua chamada. Até logo.',
  reminder: 'Ainda está aí?',
  endCallPhrases: list(
    `adeus, tchau, até logo, até breve, tenha um bom dia, tenha uma boa tarde, tenha uma boa noite,
    bom resto de dia, obrigado é tudo, obrigada é tudo, é tudo obrigado, é tudo obrigada, obrigado era só isso,
    obrigada era só isso, era só isso obrigado, era só isso obrigada, é só isso obrigado, é só isso obrigada`,
  ),
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
  goodbye: 'Bedankt voor uw telefoontje. Tot ziens.',
  reminder: 'Bent u er nog?',
  endCallPhrases: list(
    `tot ziens, tot horens, dag hoor, doei, doeg, fijne dag, prettige dag, fijne avond nog, nog een fijne avond,
    prettige avond nog, bedankt dat was alles, dat was alles bedankt, dank u wel dat was alles,
    dat was alles dank u wel, bedankt dat was het, dat was het bedankt`,
  ),
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
