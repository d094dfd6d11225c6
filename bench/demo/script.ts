/** The demo's conversation: what the caller asks, in which order, and what must come of it. */

/** One thing the caller says. */
export interface ScriptedTurn {
  readonly topic: string;
  /** WAV file in `bench/demo/questions/`. */
  readonly file: string;
  /** What the recogniser must have understood. */
  readonly transcript: RegExp;
  /** What the answer must be about. */
  readonly answer: RegExp;
  /** Said while the answer to the turn before is still being heard. */
  readonly isBargeIn?: boolean;
  /** After it the agent says goodbye and hangs up. */
  readonly endsCall?: boolean;
}

export const DEMO_AGENT = 'front-desk';

export const DEMO_TURNS: readonly ScriptedTurn[] = [
  { topic: 'opening hours', file: 'opening-hours.wav', transcript: /hours|open/i, answer: /open/i },
  {
    topic: 'room price',
    file: 'room-price.wav',
    transcript: /room|price|cost|much/i,
    answer: /room|night|dollar/i,
    isBargeIn: true,
  },
  { topic: 'dog', file: 'dog.wav', transcript: /dog|pet/i, answer: /dog|pet/i },
  { topic: 'goodbye', file: 'goodbye.wav', transcript: /bye/i, answer: /bye/i, endsCall: true },
];
