/** Invariant 5, and that what is cut is aborted: tools, guesses, streams. */
import type { CallEvent } from '../../../src/pipeline/events.ts';
import type { LlmMessage } from '../../../src/pipeline/providers/spec.ts';
import { FRAME_BYTES } from '../../../src/media/call-port.ts';
import type { Speech } from '../far-side.ts';
import type { Run } from '../sample-code.ts';
import type { Take } from '../takes.ts';
import type { Check, CheckContext, ModelRequest } from './check.ts';

export class GuessCheck implements Check {
  readonly #context: CheckContext;
  readonly #requests: ModelRequest[] = [];
  #guesses = 0;
  #wasted = 0;
  /** A guess that is neither confirmed nor dropped, and how many takes there were when it began. */
  #open: { readonly takes: number } | undefined;
  /** Audio that was ready when its guess was confirmed. */
  #mustSound: Take | undefined;
  #cutAtMs: number | undefined;
  #takesAtCut = 0;

  constructor(context: CheckContext) {
    this.#context = context;
  }

  onEvent(event: CallEvent): void {
    const { agent, takes, fail } = this.#context;
    const { speculation } = agent.turnTaking;
    switch (event.type) {
      case 'speculation-started':
        if (!speculation.enabled) fail('speculation', 'a guess, though the agent may not guess');
        if (++this.#guesses > speculation.maxTries) fail('speculation', `guess ${this.#guesses} of one turn`);
        if (this.#wasted >= speculation.wastedTokenBudget) fail('speculation', 'a guess beyond the token budget');
        this.#open = { takes: takes.takes.length };
        return;
      case 'speculation-missed':
        this.#wasted += event.wasted_tokens;
        this.#open = undefined;
        return;
      case 'speculation-hit':
        this.#mustSound = takes.takes
          .slice(this.#open?.takes ?? Number.POSITIVE_INFINITY)
          .find(({ delivered, state }) => delivered >= FRAME_BYTES && (state === 'open' || state === 'finished'));
        this.#open = undefined;
        return;
      case 'turn-confirmed':
        this.#guesses = 0;
        return;
      case 'tool-called':
        if (this.#open) fail('speculation', `the tool ${event.name} was run on a guess`);
        return;
      case 'agent-said':
        this.#guesses = 0;
        if (event.interrupted) this.#cut();
        return;
      case 'barge-in':
        this.#guesses = 0;
        this.#cut();
        return;
      default:
    }
  }

  onModelRequest(request: ModelRequest): void {
    const { fail } = this.#context;
    if (this.#requests.some(({ open }) => open))
      fail('abort', `request ${request.number} while an earlier one is open`);
    this.#requests.push(request);
    const problem = toolProblem(request.request.messages);
    if (problem) fail('tools', `request ${request.number}: ${problem}`);
  }

  onRun(_run: Run, speech: Speech | undefined): void {
    if (this.#open && speech && !speech.take.fixed && speech.take.id > this.#open.takes) {
      this.#context.fail('speculation', `audio of a guess on the wire (take ${speech.take.id})`);
    }
  }

  settle(): void {
    const { far } = this.#context;
    const ready = this.#mustSound;
    this.#mustSound = undefined;
    if (ready && !far.port.isCongested() && !far.speeches.some(({ take }) => isSaidBy(ready, take))) {
      this.#context.fail('speculation', `take ${ready.id} was ready when its guess was confirmed, and is not sent`);
    }
    if (this.#cutAtMs === undefined) return;
    const { takes, fail } = this.#context;
    const cutAtMs = this.#cutAtMs;
    this.#cutAtMs = undefined;
    const request = this.#requests.find(({ open, startedAtMs }) => open && startedAtMs < cutAtMs);
    if (request) fail('abort', `the reply was cut, and request ${request.number} to the model goes on`);
    const take = takes.takes.slice(0, this.#takesAtCut).find(({ state }) => state === 'open');
    if (take) fail('abort', `the reply was cut, and take ${take.id} is still being synthesised`);
  }

  #cut(): void {
    this.#cutAtMs ??= this.#context.nowMs();
    this.#takesAtCut = this.#context.far.speeches.at(-1)?.take.id ?? 0;
  }
}

/** Each tool call is followed by its result, and each result follows its call. */
function toolProblem(messages: readonly LlmMessage[]): string | undefined {
  let owed: string[] = [];
  for (const message of messages) {
    if (message.role === 'tool') {
      if (!owed.includes(message.toolCallId)) return `a result of no call: ${message.toolCallId}`;
      owed = owed.filter((id) => id !== message.toolCallId);
      continue;
    }
    if (owed.length > 0) return `no result of ${owed.join(', ')}`;
    if (message.role === 'assistant') owed = (message.toolCalls ?? []).map(({ id }) => id);
  }
  return owed.length > 0 ? `no result of ${owed.join(', ')}` : undefined;
}

/** Whether the take is sent, or what it goes on with. */
function isSaidBy(ready: Take, sent: Take): boolean {
  for (let take: Take | undefined = ready; take; take = take.continues) if (take === sent) return true;
  return false;
}
