/** From the chunks of one reply to the parts of a generation: puts tool calls together, counts the tokens and waits for their number. */
import type { CountedRequest } from '../counted.ts';
import { isCutShort } from '../generation.ts';
import type { Generation } from '../generation.ts';
import { ToolCallDrafts } from './tool-calls.ts';
import type { ChatChunk } from './wire.ts';

export class ChatReader {
  readonly #generation: Generation;
  readonly #usageFollows: boolean;
  readonly #toolCalls = new ToolCallDrafts();
  readonly #counted: CountedRequest;
  #isUsageTold = false;
  #stopped = false;

  /** `usageFollows`: it was asked for, and may come in a chunk of its own. */
  constructor(generation: Generation, counted: CountedRequest, usageFollows: boolean) {
    this.#generation = generation;
    this.#counted = counted;
    this.#usageFollows = usageFollows;
  }

  /** Throws `provider.protocol` when a tool is called without a name or an id. */
  take({ text, toolCalls = [], usage, finishReason }: ChatChunk): void {
    if (text !== undefined) this.#generation.addText(text);
    for (const delta of toolCalls) {
      this.#generation.noteProgress();
      this.#toolCalls.add(delta);
    }
    if (usage !== undefined) {
      this.#isUsageTold = true;
      this.#counted.readTokens(usage.inputTokens);
      this.#counted.wroteTokens(usage.outputTokens);
    }
    if (finishReason !== undefined && !this.#stopped) {
      this.#stopped = true;
      this.#generation.stop(finishReason, isCutShort(finishReason) ? [] : this.#toolCalls.take());
    }
    if (this.#stopped && (this.#isUsageTold || !this.#usageFollows)) this.#generation.finish();
  }
}
