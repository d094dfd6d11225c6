/** The demo's result as one HTML file that opens by double-click; the recording lies beside it. */
import { readFile } from 'node:fs/promises';
import { type DemoReport, LATENCY_COLUMNS } from './report.ts';

/** Loudest sample per slice of time, 0–100, for drawing. */
export interface Peaks {
  readonly perSecond: number;
  readonly caller: readonly number[];
  readonly agent: readonly number[];
}

const SAMPLE_RATE_HZ = 8000;
const PEAKS_PER_SECOND = 40;
/** Replaced in `page.html` by the data, as JSON. */
const PLACEHOLDER = '"DATA"';

/** Peaks of both tracks (PCM16, 8 kHz). */
export function peaksOf(caller: Int16Array, agent: Int16Array): Peaks {
  return { perSecond: PEAKS_PER_SECOND, caller: trackPeaks(caller), agent: trackPeaks(agent) };
}

function trackPeaks(pcm: Int16Array): number[] {
  const slice = SAMPLE_RATE_HZ / PEAKS_PER_SECOND;
  return Array.from({ length: Math.ceil(pcm.length / slice) }, (_, index) => {
    let peak = 0;
    for (const sample of pcm.subarray(index * slice, (index + 1) * slice)) peak = Math.max(peak, Math.abs(sample));
    return Math.round((peak / 32768) * 100);
  });
}

/**
 * Fills the template with a report. `audioFile` is relative to the page; `faults` are shown at its top.
 * Throws if the template has no place for the data.
 */
export async function renderPage(
  templateFile: string,
  content: {
    readonly report: DemoReport;
    readonly peaks: Peaks;
    readonly audioFile: string;
    readonly faults: readonly string[];
  },
): Promise<string> {
  const template = await readFile(templateFile, 'utf8');
  if (template.split(PLACEHOLDER).length !== 2)
    throw new Error(`${templateFile} must hold ${PLACEHOLDER} exactly once`);
  const latency = {
    columns: LATENCY_COLUMNS.map((column) => column.name),
    rows: content.report.turns.map((turn) => LATENCY_COLUMNS.map((column) => column.of(turn) ?? null)),
  };
  // Inside a script element only "<" can end it; a function keeps "$" in the data from being read as a pattern.
  const json = JSON.stringify({ ...content, latency }).replaceAll('<', '\\u003c');
  return template.replace(PLACEHOLDER, () => json);
}
