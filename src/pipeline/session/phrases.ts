/** What the agent says when no model can say it for the moment. */

export interface FixedPhrases {
  /** The caller spoke and no words came of it. */
  readonly pardon: string;
  /** A reply could not be made. */
  readonly trouble: string;
  /** The recogniser is gone for good. */
  readonly cannotHear: string;
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
  cannotHear: "I'm sorry, I can't hear you at the moment. Please call again in a few minutes.",
  leaving: "I'm sorry, I have to hang up now. Please call again in a minute.",
  timeRunsOut: 'Just so you know, we have to finish soon.',
  filler: 'One moment, please.',
  timeIsUp: 'I am sorry, our time is up. Thank you for calling. Goodbye.',
};

const GERMAN: FixedPhrases = {
  pardon: 'Entschuldigung, das habe ich nicht verstanden. Könnten Sie das wiederholen?',
  trouble: 'Entschuldigung, bei mir ist etwas schiefgegangen. Könnten Sie das noch einmal sagen?',
  cannotHear: 'Entschuldigung, ich kann Sie gerade nicht hören. Bitte rufen Sie in ein paar Minuten noch einmal an.',
  leaving: 'Es tut mir leid, ich muss jetzt auflegen. Bitte rufen Sie gleich noch einmal an.',
  timeRunsOut: 'Nur zur Information: Wir müssen bald zum Ende kommen.',
  filler: 'Einen Moment bitte.',
  timeIsUp: 'Es tut mir leid, unsere Zeit ist um. Danke für Ihren Anruf. Auf Wiederhören.',
};

/** Phrases in the agent's language; English where there are none. */
export function fixedPhrases(language: string): FixedPhrases {
  return language.toLowerCase().startsWith('de') ? GERMAN : ENGLISH;
}
