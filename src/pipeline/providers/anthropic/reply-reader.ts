/** From the events of one reply to the parts of a generation: puts tool calls together and counts the tokens. */
import { BvraiError, unreachable } from '../../../core/errors.ts';
import type { CountedRequest } from '../counted.ts';
import { isCutShort } from '../generation.ts';
import type { Generation } from '../generation.ts';
import type { ToolCall } from '../spec.ts';
import { PROVIDER } from './wire.ts';
import type { MessageEvent } from './wire.ts';

/** The size of the response bounds what it keeps. */
export class ReplyReader {
  readonly #generation: Generation;
  /** By the index of their content block. */
  readonly #toolCalls = new Map<number, { readonly id: string; readonly name: string; json: string }>();
  readonly #counted: CountedRequest;

  constructor(generation: Generation, counted: CountedRequest) {
    this.#generation = generation;
    this.#counted = counted;
  }

  /** Throws `provider.protocol` when events contradict each other. */
  take(event: MessageEvent): void {
    switch (event.type) {
      case 'text':
        return this.#generation.addText(event.text);
      case 'tool-began':
        if (event.id === '' || event.name === '')
          throw protocolError('called a tool without saying which, or without an id');
        this.#generation.noteProgress();
        this.#toolCalls.set(event.index, { id: event.id, name: event.name, json: '' });
        return;
      case 'tool-arguments':
        return this.#addArguments(event.index, event.json);
      case 'input-counted':
        return this.#counted.readTokens(event.inputTokens);
      case 'finished':
        return this.#finish(event);
      case 'failed':
        return this.#generation.fail(event.error);
      case 'nothing':
        return;
      default:
        unreachable(event);
    }
  }

  #addArguments(index: number, json: string): void {
    const call = this.#toolCalls.get(index);
    // Also the vendor's own tools write arguments; those blocks are not ours.
    if (call !== undefined) call.json += json;
  }

  #finish({ reason, outputTokens }: MessageEvent & { readonly type: 'finished' }): void {
    const toolCalls = Array.from(this.#toolCalls.values(), ({ id, name, json }): ToolCall => ({
      id,
      name,
      arguments: json === '' ? '{}' : json,
    }));
    if (reason === 'tool-calls' && toolCalls.length === 0) throw protocolError('called a tool without saying which');
    if (outputTokens !== undefined) this.#counted.wroteTokens(outputTokens);
    this.#generation.stop(reason, isCutShort(reason) ? [] : toolCalls);
    this.#generation.finish();
  }
}

function protocolError(what: string): BvraiError {
  return new BvraiError('provider.protocol', `anthropic ${what}.`, { details: { provider: PROVIDER } });
}
