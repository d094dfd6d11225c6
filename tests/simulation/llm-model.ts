/** Seeded language models: sentences of words that occur once in the call, told as slowly and as brokenly as their profile has it. */
import type { Timer, VirtualClock } from '../../src/core/clock.ts';
import { BvraiError } from '../../src/core/errors.ts';
import type { LlmPart, LlmProvider, LlmRequest, LlmStream, Sink } from '../../src/pipeline/providers/spec.ts';
import type { LlmProfile } from './profile.ts';
import { LEGAL_TEXT } from './profile.ts';
import { Random, seedOf } from './random.ts';
import { agentWord } from './words.ts';

/** Words that no other model of the call uses. */
export interface WordSupply {
  next: number;
}

export interface LlmModelOptions {
  readonly name: string;
  readonly seed: number;
  readonly clock: VirtualClock;
  readonly profile: LlmProfile;
  readonly words: WordSupply;
  readonly onFate: (fate: string) => void;
}

type Fate = 'well' | 'fails' | 'stalls' | 'endless' | 'empty';

interface Script {
  readonly tokens: readonly string[];
  readonly firstMs: number;
  readonly fate: Fate;
  readonly toolName: string | undefined;
}

/** How many tokens an endless reply has: more than the route lets through. */
const ENDLESS_TOKENS = 2_000;

export class LlmModel implements LlmProvider {
  readonly name: string;
  readonly capabilities = { tools: true, openEnded: true };
  openStreams = 0;
  readonly #options: LlmModelOptions;
  #asked = 0;

  constructor(options: LlmModelOptions) {
    this.name = options.name;
    this.#options = options;
  }

  generate(request: LlmRequest, sink: Sink<LlmPart>): LlmStream {
    const { clock, profile, seed, onFate } = this.#options;
    const random = new Random(seedOf(seed, this.name, this.#asked++));
    const script = this.#script(random, request);
    onFate(
      `${this.name}: ${script.fate}, ${script.tokens.length} tokens${script.toolName ? ` and ${script.toolName}` : ''}`,
    );
    this.openStreams++;
    let timer: Timer | undefined;
    let open = true;
    const close = () => {
      if (open) this.openStreams--;
      open = false;
      timer?.cancel();
    };
    let index = 0;
    const tell = () => {
      const token = script.tokens[index++];
      if (token !== undefined) {
        timer = clock.after(random.latency(profile.tokenMs, 0.5), tell);
        return sink({ type: 'text-delta', text: token });
      }
      if (script.fate === 'stalls') return;
      if (script.fate === 'fails') {
        close();
        return sink({ type: 'generation-failed', error: new BvraiError('provider.overloaded', 'simulated') });
      }
      if (script.toolName) {
        const call = { id: `call_${this.name}_${this.#asked}`, name: script.toolName, arguments: '{}' };
        sink({ type: 'tool-called', call });
        if (!open) return;
      }
      close();
      sink({ type: 'generation-finished', reason: script.toolName ? 'tool-calls' : 'stop' });
    };
    timer = clock.after(script.firstMs, tell);
    return { abort: close };
  }

  #script(random: Random, request: LlmRequest): Script {
    const { profile } = this.#options;
    const slow = random.chance(profile.slow) ? random.between(800, 4_000) : 0;
    const firstMs = random.latency(profile.firstMs) + slow;
    const script = (fate: Fate, tokens: readonly string[], toolName?: string): Script => ({
      tokens,
      firstMs,
      fate,
      toolName,
    });
    if (random.chance(profile.failsBefore)) return script('fails', []);
    if (random.chance(profile.stallsBefore)) return script('stalls', []);
    if (random.chance(profile.empty)) return script('empty', []);
    if (random.chance(profile.endless)) return script('endless', this.#tokens(random, ENDLESS_TOKENS));
    const tool = request.tools?.find(({ name }) => name === 'end_call');
    if (tool && random.chance(profile.endsCall)) {
      return script('well', random.chance(0.5) ? this.#reply(random) : [], tool.name);
    }
    const tokens = this.#reply(random);
    if (tool && random.chance(profile.straysToTools)) return script('well', tokens, 'book_table');
    const part = tokens.slice(0, random.int(1, tokens.length));
    if (random.chance(profile.failsAfter)) return script('fails', part);
    if (random.chance(profile.stallsAfter)) return script('stalls', part);
    return script('well', tokens);
  }

  #reply(random: Random): string[] {
    const long = random.chance(this.#options.profile.longReply);
    const tokens = this.#tokens(random, long ? random.int(25, 70) : random.int(2, 14));
    return random.chance(0.15) ? [...LEGAL_TEXT.split(/(?<= )/u), ' ', ...tokens] : tokens;
  }

  /** About `count` words, in sentences; a word and the space before it is a token. */
  #tokens(random: Random, count: number): string[] {
    const { words } = this.#options;
    const tokens: string[] = [];
    while (tokens.length < count) {
      const length = Math.min(random.int(3, 14), Math.max(2, count - tokens.length));
      for (let index = 0; index < length; index++) {
        const word = agentWord(words.next++);
        const space = tokens.length === 0 ? '' : ' ';
        const last = index === length - 1;
        const mark = last ? '.' : random.chance(0.12) ? ',' : '';
        tokens.push(space + (index === 0 ? word.charAt(0).toUpperCase() + word.slice(1) : word) + mark);
      }
    }
    return tokens;
  }
}
