/** What of an answer in tone speech reached the ear: what is missing, what came twice, and where it was torn. */
import { decodeToneSpeech, speakable } from '../emulators/tone-speech.ts';

export interface EarReport {
  /** Each stretch without a break, white space left out. */
  readonly stretches: readonly string[];
  /** Characters of the answer, of those never heard, and of those heard again; white space not counted. */
  readonly characters: number;
  readonly lost: string;
  readonly repeated: string;
  /** Stretches that are nowhere in the answer. */
  readonly foreign: readonly string[];
  /** Of the answer: up to where it was heard. */
  readonly heardCharacters: number;
}

/** More than the pause between two tones, less than the shortest silence that an interruption makes. */
const BREAK_MS = 140;

/** Compares what was heard (PCM16, 8 kHz) with the answer. Stretches may overlap, as after a resume. */
export function compareHeard(pcm: Int16Array, answer: string): EarReport {
  const wanted = dense(speakable(answer));
  const stretches = stretchesOf(pcm);
  let heard = 0;
  let lost = '';
  let repeated = '';
  const foreign: string[] = [];
  for (const stretch of stretches) {
    // The latest place that leaves no hole; only if there is none, the first one beyond.
    const found = wanted.lastIndexOf(stretch, heard);
    const at = found >= 0 ? found : wanted.indexOf(stretch, heard);
    if (at < 0) {
      foreign.push(stretch);
      continue;
    }
    lost += wanted.slice(heard, Math.max(heard, at));
    repeated += wanted.slice(at, Math.min(heard, at + stretch.length));
    heard = Math.max(heard, at + stretch.length);
  }
  return {
    stretches,
    characters: wanted.length,
    lost: lost + wanted.slice(heard),
    repeated,
    foreign,
    heardCharacters: heard,
  };
}

/** White space between clauses is the synthesiser's business. */
function dense(text: string): string {
  return text.replaceAll(/\s+/gu, '');
}

function stretchesOf(pcm: Int16Array): string[] {
  const stretches: string[] = [];
  let lastMs = -Infinity;
  for (const { char, startMs } of decodeToneSpeech(pcm).characters) {
    const text = dense(char);
    const last = stretches.at(-1);
    if (last === undefined || startMs - lastMs > BREAK_MS) stretches.push(text);
    else stretches[stretches.length - 1] = last + text;
    lastMs = startMs;
  }
  return stretches.filter((stretch) => stretch !== '');
}
