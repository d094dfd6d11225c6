/** What the agent says when no model can say it for the moment, as it is given to a voice. */
import { fixedPhrases } from '../fixed-phrases.ts';
import type { AgentConfig } from '../ports.ts';
import { createChunker, endText, pushText } from '../text/chunker.ts';
import { makeSpeakable } from '../text/speakable.ts';
import type { Clause } from './state.ts';

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
