/** Puts streamed tool calls together. */
import { BvraiError } from '../../../core/errors.ts';
import type { ToolCall } from '../spec.ts';
import { PROVIDER } from './wire.ts';
import type { ToolCallDelta } from './wire.ts';

interface Draft {
  id: string;
  name: string;
  arguments: string;
}

/** The tool calls of one generation, while their pieces come in. The size of the response bounds what they take. */
export class ToolCallDrafts {
  readonly #drafts: Draft[] = [];
  readonly #byIndex = new Map<number, Draft>();

  get size(): number {
    return this.#drafts.length;
  }

  add(delta: ToolCallDelta): void {
    let draft = this.#byIndex.get(delta.index);
    // Some imitators number all calls of a reply 0: another id is another call.
    if (draft === undefined || (delta.id !== '' && draft.id !== '' && delta.id !== draft.id)) {
      draft = { id: '', name: '', arguments: '' };
      this.#drafts.push(draft);
      this.#byIndex.set(delta.index, draft);
    }
    draft.id ||= delta.id;
    draft.name ||= delta.name;
    draft.arguments += delta.arguments;
  }

  /** All of them, in the order in which they began; throws `provider.protocol` when one has no id or no name. */
  take(): readonly ToolCall[] {
    for (const { id, name } of this.#drafts) {
      if (id !== '' && name !== '') continue;
      throw new BvraiError('provider.protocol', 'openai called a tool without saying which, or without an id.', {
        details: { provider: PROVIDER },
      });
    }
    return this.#drafts;
  }
}
