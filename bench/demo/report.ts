/** Joins what the phone heard with what the server says it did, turn by turn. Pure: recorded data in, report out. */
import { formatMs, formatTable } from '../phone/live-line.ts';
import type { Utterance } from '../phone/turn-meter.ts';
import type { ScriptedTurn } from './script.ts';
import type { ServerEvent } from './server-events.ts';

/** One line of the transcript; `heardText` is there when the caller did not hear all of it. */
export interface TranscriptLine {
  readonly role: 'caller' | 'agent';
  readonly atMs: number;
  readonly text: string;
  readonly heardText?: string;
}

/** One turn: times are ms after the caller's true end of speech, except where named otherwise. */
export interface TurnReport {
  readonly topic: string;
  readonly isBargeIn: boolean;
  readonly startMs: number;
  readonly endMs: number;
  readonly transcript: string;
  readonly answer: string;
  readonly speechEndDetectedMs?: number | undefined;
  readonly transcriptMs?: number | undefined;
  readonly firstTokenMs?: number | undefined;
  readonly firstAudioMs?: number | undefined;
  /** First audible sample at the caller's ear. */
  readonly earMs?: number | undefined;
  /** Only where the caller interrupted: speech onset → the agent's last audible sample. */
  readonly bargeInStopMs?: number | undefined;
}

export interface DemoReport {
  readonly agent: string;
  readonly callSid: string;
  readonly durationMs: number;
  readonly turns: readonly TurnReport[];
  readonly transcript: readonly TranscriptLine[];
}

/** The transcript as it ended: what the caller said, and of what the agent said the part that was heard. */
export function transcriptOf(events: readonly ServerEvent[]): TranscriptLine[] {
  const lines: TranscriptLine[] = [];
  for (const event of events) {
    const text = event.text?.trim() ?? '';
    if (event.type === 'turn-confirmed' && text)
      lines.push({ role: 'caller', atMs: event.at_ms, text: finalWords(events, event) });
    if (event.type === 'agent-said' && text) {
      const heard = event.interrupted ? { heardText: event.heard_text?.trim() ?? '' } : {};
      lines.push({ role: 'agent', atMs: spokenSinceMs(events, event), text, ...heard });
    }
  }
  return lines.toSorted((a, b) => a.atMs - b.atMs);
}

/** The words that went into the history, if they differ from what was confirmed at first. */
function finalWords(events: readonly ServerEvent[], confirmed: ServerEvent): string {
  const said = events.findLast(
    (event) => event.type === 'caller-said' && event.turn !== undefined && event.turn === confirmed.turn,
  );
  return said?.text?.trim() || (confirmed.text?.trim() ?? '');
}

/** `agent-said` comes when speech has ended; it began with the first clause after the speech before it. */
function spokenSinceMs(events: readonly ServerEvent[], said: ServerEvent): number {
  const before = events.slice(0, events.indexOf(said));
  const previous = before.findLastIndex((event) => event.type === 'agent-said');
  return before.slice(previous + 1).find((event) => event.type === 'agent-clause')?.at_ms ?? said.at_ms;
}

/** Builds the report from the phone's measurements and the server's events, matching turns by time. */
export function buildReport(input: {
  readonly agent: string;
  readonly callSid: string;
  readonly durationMs: number;
  readonly script: readonly ScriptedTurn[];
  readonly utterances: readonly Utterance[];
  readonly events: readonly ServerEvent[];
}): DemoReport {
  const transcript = transcriptOf(input.events);
  const turns = input.utterances.map((utterance, index): TurnReport => {
    const nextStartMs = input.utterances[index + 1]?.startMs ?? Infinity;
    const isWithin = ({ at_ms: atMs }: { readonly at_ms: number }): boolean =>
      atMs > utterance.startMs && atMs <= nextStartMs;
    const confirmed = input.events.filter((event) => event.type === 'turn-confirmed' && isWithin(event));
    // The turn's trace may come after the next one has begun: its number finds it, the time only if there is none.
    const turnNumber = confirmed.at(-1)?.turn;
    const traced = input.events.findLast(
      (event) =>
        event.type === 'turn-traced' && (turnNumber === undefined ? isWithin(event) : event.turn === turnNumber),
    );
    const lines = transcript.filter((line) => line.atMs > utterance.startMs && line.atMs <= nextStartMs);
    const words = (role: TranscriptLine['role']): string =>
      lines
        .filter((line) => line.role === role)
        .map((line) => line.text)
        .join(' ');
    return {
      topic: input.script[index]?.topic ?? utterance.label,
      isBargeIn: input.script[index]?.isBargeIn ?? false,
      startMs: utterance.startMs,
      endMs: utterance.endMs,
      transcript: words('caller'),
      answer: words('agent'),
      speechEndDetectedMs: traced?.stages?.speech_end_detected_ms,
      transcriptMs: traced?.stages?.transcript_ms,
      firstTokenMs: traced?.stages?.first_token_ms,
      firstAudioMs: traced?.stages?.first_audio_ms,
      earMs: utterance.voiceToVoiceMs,
      bargeInStopMs: utterance.bargeInStopMs,
    };
  });
  const spoken = atTimesOfSpeech(transcript, input.utterances);
  return { agent: input.agent, callSid: input.callSid, durationMs: input.durationMs, turns, transcript: spoken };
}

/** Lines begin when the server knew of them; a reader who follows the recording wants the moment they were spoken. */
function atTimesOfSpeech(lines: readonly TranscriptLine[], utterances: readonly Utterance[]): TranscriptLine[] {
  const placed = new Set<number>();
  return lines
    .map((line) => {
      const utterance = utterances.findLast((candidate) => candidate.startMs < line.atMs);
      const spokenMs = line.role === 'caller' ? utterance?.startMs : utterance?.replyMs;
      const isFirst = utterance !== undefined && !placed.has(utterance.index);
      if (line.role === 'agent' && isFirst) placed.add(utterance.index);
      return spokenMs !== undefined && (line.role === 'caller' || isFirst) ? { ...line, atMs: spokenMs } : line;
    })
    .toSorted((a, b) => a.atMs - b.atMs);
}

/** The columns of the latency table, in the order things happen. */
export const LATENCY_COLUMNS: readonly {
  readonly name: string;
  readonly of: (turn: TurnReport) => number | undefined;
}[] = [
  { name: 'agent stopped', of: (turn) => turn.bargeInStopMs },
  { name: 'transcript', of: (turn) => turn.transcriptMs },
  { name: 'first token', of: (turn) => turn.firstTokenMs },
  { name: 'first audio', of: (turn) => turn.firstAudioMs },
  { name: 'ear', of: (turn) => turn.earMs },
];

/** The latency table for a terminal: ms after the caller's speech end (for a barge-in: after its onset). */
export function latencyTable(turns: readonly TurnReport[]): string {
  const head = ['turn', ...LATENCY_COLUMNS.map((column) => column.name)];
  const rows = turns.map((turn) => [
    turn.isBargeIn ? `${turn.topic} (barge-in)` : turn.topic,
    ...LATENCY_COLUMNS.map((column) => formatMs(column.of(turn))),
  ]);
  return formatTable([head, ...rows]);
}
