/** Lines for a person who watches a call happen, and the table after it. */
import { basename } from 'node:path';
import type { PhoneEvent } from './events.ts';
import type { Utterance } from './turn-meter.ts';

/** `12.345 s`, right-aligned, as every live line begins. */
export function stamp(atMs: number): string {
  return `${(atMs / 1000).toFixed(3).padStart(8)} s`;
}

/** One line for an event, or undefined for those too frequent to be worth one. */
export function liveLine(event: PhoneEvent): string | undefined {
  const text = describe(event);
  return text === undefined ? undefined : `${stamp(event.atMs)}  ${text}`;
}

function describe(event: PhoneEvent): string | undefined {
  switch (event.type) {
    case 'started':
      return `call     ${event.callSid} is connected`;
    case 'said':
      return `caller   says ${basename(event.utterance.label)} (until ${stamp(event.utterance.endMs).trim()})`;
    case 'dtmf':
      return `caller   presses ${event.digit}`;
    case 'agent-audible':
      return 'agent    is heard';
    case 'agent-quiet':
      return 'agent    is quiet again';
    case 'reply':
      return `agent    answers after ${formatMs(event.utterance.voiceToVoiceMs)}`;
    case 'clear':
      return `server   clears ${formatMs(event.droppedMs)} of buffered audio`;
    case 'underrun':
      return `PROBLEM  playback ran dry for ${formatMs(event.durationMs)}`;
    case 'warning':
      return `PROBLEM  Twilio warning ${event.code}: ${event.text}`;
    case 'ended':
      return `call     ended by the ${event.by} (code ${event.code}${event.reason && `, ${event.reason}`})`;
    case 'media':
    case 'mark':
    case 'mark-echo':
      return undefined;
    default:
      return event satisfies never;
  }
}

/** Whole milliseconds with their unit; an en dash for what does not exist. */
export function formatMs(valueMs: number | undefined): string {
  return valueMs === undefined ? '–' : `${Math.round(valueMs)} ms`;
}

/** A plain-text table; the first row is its head. Columns but the first are right-aligned. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('   ')
      .trimEnd(),
  );
  return [lines[0] ?? '', widths.map((width) => '─'.repeat(width)).join('   '), ...lines.slice(1)].join('\n');
}

/** What was measured at the ear, a row for each thing the caller said. */
export function earTable(utterances: readonly Utterance[]): string {
  const rows = utterances.map((utterance) => [
    basename(utterance.label),
    formatMs(utterance.endMs - utterance.startMs),
    formatMs(utterance.bargeInStopMs),
    formatMs(utterance.voiceToVoiceMs),
  ]);
  return formatTable([['caller said', 'speech', 'agent stopped after', 'voice to voice'], ...rows]);
}
