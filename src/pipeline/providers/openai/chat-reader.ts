/** From the chunks of one reply to the parts of a generation: puts tool calls together and waits for the usage. */
import { isCutShort } from '../generation.ts';
import type { Generation } from '../generation.ts';
import { ToolCallDrafts } from './tool-calls.ts';
import type { ChatChunk } from './wire.ts';

export class ChatReader {
  readonly #generation: Generation;
  readonly #usageFollows: boolean;
  readonly #toolCalls = new ToolCallDrafts();
  #usage: ChatChunk['usage'];
  #stopped = false;

  /** `usageFollows`: it was asked for, and may come in a chunk of its own. */
  constructor(generation: Generation, usageFollows: boolean) {
    this.#generation = generation;
    this.#usageFollows = usageFollows;
  }

  /** Throws `provider.protocol` when a tool is called without a name or an id. */
  take({ text, toolCalls = [], usage, finishReason }: ChatChunk): void {
    if (text !== undefined) this.#generation.addText(text);
    for (const delta of toolCalls) {
      this.#generation.noteProgress();
      this.#toolCalls.add(delta);
    }
    this.#usage = usage ?? this.#usage;
    if (finishReason !== undefined && !this.#stopped) {
      this.#stopped = true;
      this.#generation.stop(finishReason, isCutShort(finishReason) ? [] : this.#toolCalls.take());
    }
    if (this.#stopped && (this.#usage !== undefined || !this.#usageFollows)) this.#generation.finish(this.#usage);
  }
}
