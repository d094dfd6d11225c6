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

/** Phrases in the agent's language; English where there are none. */
export function fixedPhrases(language: string): FixedPhrases {
  return language.toLowerCase().startsWith('de') ? GERMAN : ENGLISH;
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
