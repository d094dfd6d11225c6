/** What the emulated models answer: text or tool calls, by rules. */

/** A tool to call. `arguments`: JSON text as it is, or a value to be written as JSON. */
export interface ToolUse {
  readonly name: string;
  readonly arguments: unknown;
}

/** Text to say, or tools to call: after `say`, if given. `afterwards` is said when the last message is a tool's result. */
export type Reply =
  | string
  | { readonly tool: ToolUse | readonly ToolUse[]; readonly say?: string; readonly afterwards?: string };

/** The first whose `match` fits the last user message; without `match` it fits always. */
export type ReplyRules = readonly { readonly match?: RegExp; readonly reply: Reply }[];

export const USUAL_REPLIES: ReplyRules = [
  { match: /hour|open|close/i, reply: 'We are open from nine to five, Monday to Friday. Is there anything else?' },
  {
    match: /book|reserv|table|appointment/i,
    reply: 'Certainly. You are booked for tomorrow at seven. Anything else?',
  },
  { match: /where|address|locat/i, reply: 'You find us at twelve Harbour Street, right by the old lighthouse.' },
  { match: /bye|thank/i, reply: 'You are welcome. Have a lovely day. Goodbye!' },
  { match: /hello|hi\b|hey/i, reply: 'Hello! It is good to hear you. How can I help you today?' },
  { reply: 'I am an emulated model, so I know very little. Ask me about our opening hours.' },
];

/** `answersResult`: the last message is a tool's result. */
export function replyTo(
  rules: ReplyRules,
  { asked, answersResult }: { readonly asked: string; readonly answersResult: boolean },
): Reply {
  const reply = rules.find(({ match }) => match === undefined || match.test(asked))?.reply ?? 'I have no answer.';
  return typeof reply !== 'string' && answersResult ? (reply.afterwards ?? 'Done.') : reply;
}

/** About as coarse as a real model's tokens: a word with the space before it. */
export function tokensOf(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? [];
}
