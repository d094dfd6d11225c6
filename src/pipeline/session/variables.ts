/** `{{name}}` in an agent's texts. */
import type { AgentConfig } from '../ports.ts';

const PLACEHOLDER = /\{\{\s*([a-z][a-z0-9_]{0,49})\s*\}\}/gu;

/** The agent as it speaks in one call. `unknown`: names that have no value, each once. */
export interface FilledAgent {
  readonly agent: AgentConfig;
  /** Nothing was filled into the first message. */
  readonly greetsAlike: boolean;
  readonly unknown: readonly string[];
}

/** Puts the values into the prompt and the first message; an agent without placeholders comes back as it is. */
export function fillAgent(agent: AgentConfig, values: Readonly<Record<string, string>>): FilledAgent {
  const unknown = new Set<string>();
  const fill = (text: string): string => fillTemplate(text, values, (name) => unknown.add(name));
  const [systemPrompt, firstMessage] = [fill(agent.systemPrompt), fill(agent.firstMessage)];
  const greetsAlike = firstMessage === agent.firstMessage;
  const isSame = systemPrompt === agent.systemPrompt && greetsAlike;
  return { agent: isSame ? agent : { ...agent, systemPrompt, firstMessage }, greetsAlike, unknown: [...unknown] };
}

/** What has no value becomes empty, since a caller must never hear braces. What is put in is not looked at again. */
function fillTemplate(
  template: string,
  values: Readonly<Record<string, string>>,
  onUnknown: (name: string) => void,
): string {
  return template.replaceAll(PLACEHOLDER, (_, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) onUnknown(name);
    return value ?? '';
  });
}
