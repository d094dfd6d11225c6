/** What `{{name}}` in an agent's texts stands for in a call. */
import type { ExpectedCall } from './desk.ts';

export const VARIABLES_DESCRIPTION =
  'What `{{name}}` in the agent’s prompt and first message stands for in this call; they go before the agent’s own `variables`. ' +
  'Known without being given: `caller_number`, `called_number`, `agent_name`, `call_id`, `date` and `time` (when the call is ' +
  'answered, as the agent’s language writes them) and `time_zone`, which decides these (UTC). A name that nothing is known of ' +
  'stands for nothing.';

type Variables = Readonly<Record<string, string>>;

/** The call's own, before the agent's, before what is known of every call. */
export function variablesOf(call: ExpectedCall, now: Date): Variables {
  const { agent } = call;
  const given: Variables = { ...agent.variables, ...call.variables };
  const zone = given['time_zone'] ?? '';
  const timeZone = isTimeZone(zone) ? zone : 'UTC';
  const write = (style: Intl.DateTimeFormatOptions): string =>
    new Intl.DateTimeFormat(localeOf(agent.language), { ...style, timeZone }).format(now);
  return {
    caller_number: call.from,
    called_number: call.to,
    agent_name: agent.name,
    call_id: call.id,
    date: write({ dateStyle: 'full' }),
    time: write({ timeStyle: 'short' }),
    ...given,
    time_zone: timeZone,
  };
}

/** Whether what these say of the time zone, if anything, can be followed. */
export function isTimeZoneOfVariables({ time_zone: zone }: Variables): boolean {
  return zone === undefined || isTimeZone(zone);
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** What only looks like a language tag is written in English. */
function localeOf(language: string): string {
  try {
    return Intl.getCanonicalLocales(language)[0] ?? 'en';
  } catch {
    return 'en';
  }
}
