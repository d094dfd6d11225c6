/** What agents say when no voice can speak any more: made while one can, and kept apart from what calls merely say often. */
import type { Clock } from '../../core/clock.ts';
import type { Log } from '../../core/log.ts';
import type { AgentConfig } from '../ports.ts';
import type { TtsProvider } from '../providers/spec.ts';
import { findKept } from './kept-speech.ts';
import type { KeptVoice } from './kept-speech.ts';
import { SpeechCache } from './speech-cache.ts';

/** Of about 150 agents, with ten seconds each. */
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;
/** The greeting of the call that is just beginning goes first. */
const AFTER_MS = 3_000;
/** A voice that could not say it is not asked again by every call. */
const AGAIN_AFTER_MS = 60_000;

export interface EmergencySpeechOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly maxBytes?: number;
}

export interface Emergency {
  readonly agent: Pick<AgentConfig, 'id' | 'language'>;
  /** The texts, each in the pieces in which a call says it. */
  readonly pieces: readonly (readonly string[])[];
  /** Whose speech counts as the agent's. */
  readonly voices: readonly KeptVoice[];
  /** Speaks, and keeps what is fixed in {@link EmergencySpeech.cache}. */
  readonly tts: TtsProvider;
}

/** Process-wide. Bounded by bytes: of agents that have long had no call the speech is dropped, and made again in their next call. */
export class EmergencySpeech {
  readonly cache: SpeechCache;
  readonly #options: EmergencySpeechOptions;
  readonly #triedAtMs = new WeakMap<Emergency['agent'], number>();
  /** Of what is being made, or will be in a moment. */
  readonly #scopes = new Set<AbortController>();

  constructor(options: EmergencySpeechOptions) {
    this.#options = options;
    this.cache = new SpeechCache(options.maxBytes ?? DEFAULT_MAX_BYTES);
  }

  /** A call of this agent begins: what is not kept of its emergency speech is made in a moment. */
  keep(emergency: Emergency): void {
    const { clock } = this.#options;
    const { agent, pieces, voices } = emergency;
    const missing = pieces.filter((texts) => !findKept(this.cache, voices, agent.language, texts));
    const triedAtMs = this.#triedAtMs.get(agent);
    const nowMs = clock.nowMs();
    if (missing.length === 0 || (triedAtMs !== undefined && nowMs - triedAtMs < AGAIN_AFTER_MS)) return;
    this.#triedAtMs.set(agent, nowMs);
    const scope = new AbortController();
    this.#scopes.add(scope);
    const timer = clock.after(AFTER_MS, () => {
      this.#speak(emergency, missing, scope.signal, () => {
        this.#scopes.delete(scope);
        scope.abort();
      });
    });
    scope.signal.addEventListener('abort', () => timer.cancel(), { once: true });
  }

  close(): void {
    for (const scope of this.#scopes) scope.abort();
    this.#scopes.clear();
  }

  /** One text after the other. */
  #speak(
    { agent, tts }: Emergency,
    texts: readonly (readonly string[])[],
    signal: AbortSignal,
    done: () => void,
  ): void {
    const { clock, log } = this.#options;
    let said = 0;
    const stream = tts.open(
      { language: agent.language },
      (part) => {
        if (part.type === 'audio-chunk') return;
        if (part.type !== 'utterance-finished')
          log.warn({ agent: agent.id, code: part.error.code }, 'emergency speech was not kept');
        sayNext();
      },
      { clock, log, signal },
    );
    const sayNext = (): void => {
      const pieces = texts[said++];
      if (pieces === undefined) {
        stream.close();
        return done();
      }
      for (const text of pieces) stream.speak(String(said), text, { fixed: true });
      stream.finish(String(said));
    };
    sayNext();
  }
}
