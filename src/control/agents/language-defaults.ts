/**
 * The texts of an agent that nobody has set: they are those of its language. They are filled in when the agent is shown or answers a
 * call and never stored, so that they follow its language (docs/decisions/0090).
 */
import { fixedPhrases } from '../../pipeline/ports.ts';
import type { AgentDocument } from './schema.ts';

/** An agent with every default filled in. */
export interface CompleteAgentDocument extends AgentDocument {
  readonly end_call_phrases: string[];
  readonly goodbye_message: string;
  readonly silence: AgentDocument['silence'] & { readonly reminder_message: string };
}

/** JSON Pointers of the fields that have such a default. */
export const LANGUAGE_DEFAULTS = ['/end_call_phrases', '/goodbye_message', '/silence/reminder_message'] as const;

/** The fields whose texts are the language's own. */
export function languageDefaultsOf(document: AgentDocument): (typeof LANGUAGE_DEFAULTS)[number][] {
  const own = {
    '/end_call_phrases': document.end_call_phrases,
    '/goodbye_message': document.goodbye_message,
    '/silence/reminder_message': document.silence.reminder_message,
  };
  return LANGUAGE_DEFAULTS.filter((field) => own[field] === undefined);
}

/** The agent as callers meet it; in a language that we have no texts for these are English. */
export function withLanguageDefaults(document: AgentDocument): CompleteAgentDocument {
  const { endCallPhrases, goodbye, reminder } = fixedPhrases(document.language);
  return {
    ...document,
    end_call_phrases: document.end_call_phrases ?? [...endCallPhrases],
    goodbye_message: document.goodbye_message ?? goodbye,
    silence: { ...document.silence, reminder_message: document.silence.reminder_message ?? reminder },
  };
}
