/** A seeded caller: a plan of what they do and when, and the process that carries it out while listening to the agent. */
import type { CallerVoice } from './caller-voice.ts';
import type { Random } from './random.ts';
import { callerWord } from './words.ts';

/** What an act waits for before its delay begins. */
type When = 'now' | 'agent-quiet' | 'agent-speaking';

interface PlannedWord {
  readonly text: string;
  readonly gapBeforeMs: number;
  readonly durationMs: number;
  readonly closes: boolean;
}

export type Act = { readonly when: When; readonly delayMs: number } & (
  | { readonly type: 'say'; readonly style: string; readonly words: readonly PlannedWord[] }
  | { readonly type: 'sound'; readonly kind: 'cough' | 'noise'; readonly durationMs: number }
  | { readonly type: 'dtmf'; readonly digits: string }
  | { readonly type: 'wait' }
  | { readonly type: 'leave'; readonly how: 'hang-up' | 'vanish' | 'idle' | 'server-stops' }
);

/** The agent's own list for English, as callers say them. */
const BACKCHANNELS = ['uh-huh', 'yeah', 'okay', 'mm-hmm', 'right'] as const;
const TRAILERS = [['and'], ['um'], ['but'], ['my', 'number', 'is']] as const;
const DIGITS = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'] as const;
/** A caller who waits for the agent gives up waiting after this long. */
const PATIENCE_MS = 9_000;

export function planCaller(random: Random): Act[] {
  const planner = new Planner(random);
  const acts: Act[] = [];
  const length = random.int(2, 8);
  for (let index = 0; index < length; index++) acts.push(...planner.act());
  acts.push(planner.ending());
  return acts;
}

class Planner {
  readonly #random: Random;
  #nextWord = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  act(): Act[] {
    const random = this.#random;
    return random.weighted<() => Act[]>([
      [() => [this.#say('agent-quiet')], 8],
      [() => [this.#say('agent-speaking')], 6],
      [() => [this.#say('now')], 2],
      [() => [this.#say('agent-quiet'), this.#say('agent-speaking'), this.#say('agent-speaking')], 1],
      [() => [this.#backchannel('agent-speaking')], 4],
      [() => [this.#backchannel('agent-quiet')], 1],
      [() => [this.#sound('agent-speaking')], 4],
      [() => [this.#sound('now')], 1],
      [() => [{ type: 'wait', when: 'now', delayMs: random.between(500, 16_000) }], 1],
      [() => [this.#dtmf()], 1],
    ])();
  }

  ending(): Act {
    const random = this.#random;
    const how = random.weighted([
      ['hang-up', 6],
      ['vanish', 1],
      ['idle', 1],
      ['server-stops', 1],
      ['stay', 4],
      ['goodbye', 2],
    ] as const);
    if (how === 'stay') return { type: 'wait', when: 'now', delayMs: 60_000 };
    if (how === 'goodbye') return this.#phrase('goodbye', 'agent-quiet', ['goodbye']);
    return { type: 'leave', how, when: 'now', delayMs: random.latency(1_500, 1, 8_000) };
  }

  #delay(when: When): number {
    const random = this.#random;
    if (when === 'agent-quiet') return random.latency(500, 0.6, 4_000);
    return when === 'agent-speaking' ? random.between(0, 2_500) : random.between(0, 1_500);
  }

  #say(when: When): Act {
    const random = this.#random;
    const style = random.weighted([
      ['plain', 8],
      ['yes', 1],
      ['trailing', 2],
      ['dictation', 1],
      ['two-sentences', 2],
    ] as const);
    if (style === 'yes') return this.#phrase(style, when, ['yes']);
    const words = this.#sentence(random.int(1, 7));
    if (style === 'trailing') {
      words.push(...this.#words(random.pick(TRAILERS), false));
      words.push(...this.#sentence(random.int(1, 3), random.between(300, 1_100)));
    } else if (style === 'dictation') {
      words.push(...this.#words(TRAILERS[3], false));
      for (let group = random.int(1, 3); group > 0; group--) {
        const digits = Array.from({ length: random.int(2, 4) }, () => random.pick(DIGITS));
        words.push(...this.#words(digits, group === 1, random.between(150, 1_200)));
      }
    } else if (style === 'two-sentences') words.push(...this.#sentence(random.int(1, 5), random.between(150, 900)));
    return { type: 'say', style, when, delayMs: this.#delay(when), words };
  }

  #backchannel(when: When): Act {
    return this.#phrase('backchannel', when, [this.#random.pick(BACKCHANNELS)]);
  }

  #phrase(style: string, when: When, texts: readonly string[]): Act {
    return { type: 'say', style, when, delayMs: this.#delay(when), words: this.#words(texts, true) };
  }

  #sound(when: When): Act {
    const random = this.#random;
    const kind = random.pick(['cough', 'cough', 'noise']);
    const durationMs = kind === 'cough' ? random.between(80, 450) : random.between(300, 2_500);
    return { type: 'sound', kind, when, delayMs: this.#delay(when), durationMs };
  }

  #dtmf(): Act {
    const digits = Array.from({ length: this.#random.int(1, 5) }, () => String(this.#random.int(0, 9))).join('');
    return { type: 'dtmf', when: 'agent-quiet', delayMs: this.#delay('agent-quiet'), digits };
  }

  #sentence(length: number, gapBeforeMs = 0): PlannedWord[] {
    const texts = Array.from({ length }, () => callerWord(this.#nextWord++));
    return this.#words(texts, true, gapBeforeMs);
  }

  #words(texts: readonly string[], closes: boolean, gapBeforeMs = 0): PlannedWord[] {
    return texts.map((text, index) => ({
      text,
      gapBeforeMs: index === 0 ? Math.max(gapBeforeMs, 40) : this.#random.latency(50, 0.8, 500),
      durationMs: 120 + text.length * this.#random.between(25, 55),
      closes: closes && index === texts.length - 1,
    }));
  }
}

export interface CallerWorld {
  readonly voice: CallerVoice;
  /** The caller hears the agent now. */
  agentAudible(): boolean;
  press(digit: string): void;
  leave(how: Extract<Act, { type: 'leave' }>['how']): void;
}

/** Carries out a plan, one act after the other. */
export class Caller {
  readonly #acts: readonly Act[];
  readonly #world: CallerWorld;
  readonly #trace: (line: string) => void;
  #index = 0;
  #waitsSinceMs: number | undefined;
  #dueAtMs: number | undefined;
  #digits: { readonly digit: string; readonly atMs: number }[] = [];

  constructor(acts: readonly Act[], world: CallerWorld, trace: (line: string) => void) {
    this.#acts = acts;
    this.#world = world;
    this.#trace = trace;
  }

  /** Call every 20 ms. */
  tick(nowMs: number): void {
    while (this.#digits[0] && this.#digits[0].atMs <= nowMs) this.#world.press(this.#digits.shift()?.digit ?? '');
    const act = this.#acts[this.#index];
    if (!act || this.#world.voice.endsAtMs > nowMs || this.#digits.length > 0) return;
    if (this.#dueAtMs === undefined) {
      this.#waitsSinceMs ??= nowMs;
      if (!this.#isMet(act.when) && nowMs - this.#waitsSinceMs < PATIENCE_MS) return;
      this.#dueAtMs = nowMs + act.delayMs;
    }
    if (nowMs < this.#dueAtMs) return;
    this.#dueAtMs = undefined;
    this.#waitsSinceMs = undefined;
    this.#index++;
    this.#perform(act, nowMs);
  }

  #isMet(when: When): boolean {
    return when === 'now' || (when === 'agent-speaking') === this.#world.agentAudible();
  }

  #perform(act: Act, nowMs: number): void {
    const { voice } = this.#world;
    switch (act.type) {
      case 'say': {
        let atMs = nowMs;
        for (const { text, gapBeforeMs, durationMs, closes } of act.words) {
          atMs += gapBeforeMs;
          voice.add({ kind: 'word', text, startMs: atMs, endMs: atMs + durationMs, closes });
          atMs += durationMs;
        }
        this.#trace(
          `caller says (${act.style}): ${act.words.map(({ text }) => text).join(' ')} [until ${Math.round(atMs)}]`,
        );
        return;
      }
      case 'sound':
        voice.add({ kind: act.kind, text: '', startMs: nowMs, endMs: nowMs + act.durationMs, closes: false });
        this.#trace(`caller: ${act.kind} of ${Math.round(act.durationMs)} ms`);
        return;
      case 'dtmf':
        this.#digits = act.digits.split('').map((digit, index) => ({ digit, atMs: nowMs + index * 250 }));
        return;
      case 'leave':
        this.#trace(`caller: ${act.how}`);
        return this.#world.leave(act.how);
      case 'wait':
    }
  }
}
