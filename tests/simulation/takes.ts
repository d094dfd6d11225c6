/** Every text that a synthesiser was given, and where in its audio each word of it is: the truth about what the agent can be heard saying. */
import { wordsOf } from './words.ts';

export interface SpokenWord {
  /** Normalised. */
  readonly word: string;
  /** In samples from the start of the take. */
  readonly from: number;
  readonly to: number;
}

export interface SpokenPiece {
  readonly text: string;
  readonly from: number;
  readonly to: number;
}

/** One utterance as one synthesiser says it. */
export interface Take {
  readonly id: number;
  readonly utteranceId: string;
  readonly provider: string;
  /** The take that this one goes on with: of a voice that broke off, or that was asked once more. */
  readonly continues: Take | undefined;
  readonly words: SpokenWord[];
  /** The pieces that `speak` was called with. */
  readonly pieces: SpokenPiece[];
  /** Samples given to the session. */
  delivered: number;
  /** The same text is spoken in many calls, so its audio may be kept and played again. */
  fixed: boolean;
  /** How each word's place is told to the session. */
  spans: 'words' | 'clauses' | 'none' | 'partial';
  state: 'open' | 'finished' | 'cancelled' | 'failed';
}

export class TakeBook {
  readonly takes: Take[] = [];

  begin(utteranceId: string, provider: string, spans: Take['spans']): Take {
    const previous = this.takes.at(-1);
    const take: Take = {
      id: this.takes.length + 1,
      utteranceId,
      provider,
      continues: previous?.utteranceId === utteranceId ? previous : undefined,
      words: [],
      pieces: [],
      delivered: 0,
      fixed: false,
      spans,
      state: 'open',
    };
    this.takes.push(take);
    return take;
  }

  get(id: number): Take | undefined {
    return this.takes[id - 1];
  }
}

export const takeText = (take: Take): string =>
  take.pieces
    .map(({ text }) => text)
    .join('')
    .trim();

export const takeWords = (take: Take): string[] => wordsOf(takeText(take));
