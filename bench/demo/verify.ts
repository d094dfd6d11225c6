/** Whether the demo showed what it claims: each fault in a sentence, none if all is well. Pure. */
import type { DemoReport, TurnReport } from './report.ts';
import type { ScriptedTurn } from './script.ts';

/** An agent that talks on longer than this after being interrupted was not interrupted. */
export const MAX_BARGE_IN_STOP_MS = 1000;
/** Slower than this is no conversation. */
export const MAX_VOICE_TO_VOICE_MS = 5000;

/** What else the demo saw, besides the report. */
export interface Circumstances {
  /** Whether the agent was audible before the caller said anything. */
  readonly heardGreeting: boolean;
  /** What Twilio would have complained about. */
  readonly warnings: readonly string[];
  readonly serverErrors: readonly string[];
}

export function findFaults(
  script: readonly ScriptedTurn[],
  report: DemoReport,
  circumstances: Circumstances,
): string[] {
  const faults: string[] = [];
  if (!circumstances.heardGreeting) faults.push('the greeting was not heard');
  if (report.turns.length < script.length) {
    faults.push(`only ${report.turns.length} of ${script.length} turns took place`);
  }
  for (const [index, scripted] of script.entries()) {
    const turn = report.turns[index];
    if (turn)
      faults.push(...turnFaults(scripted, turn, report.turns[index + 1]).map((fault) => `${scripted.topic}: ${fault}`));
  }
  const interruptions = report.transcript.filter((line) => line.heardText !== undefined);
  if (
    script.some((turn) => turn.isBargeIn) &&
    !interruptions.some((line) => (line.heardText?.length ?? 0) < line.text.length)
  ) {
    faults.push('no answer was cut to what the caller had heard of it when interrupted');
  }
  for (const warning of circumstances.warnings) faults.push(`Twilio would have complained: ${warning}`);
  for (const error of circumstances.serverErrors) faults.push(`the server logged an error: ${error}`);
  return faults;
}

function turnFaults(scripted: ScriptedTurn, turn: TurnReport, next: TurnReport | undefined): string[] {
  const faults: string[] = [];
  if (turn.earMs === undefined) faults.push('no answer reached the ear');
  else if (turn.earMs > MAX_VOICE_TO_VOICE_MS)
    faults.push(`the answer took ${Math.round(turn.earMs)} ms to reach the ear`);
  if (!turn.transcript) faults.push('the transcript is empty');
  else if (!scripted.transcript.test(turn.transcript)) faults.push(`the transcript is wrong: "${turn.transcript}"`);
  // The words of an interrupted answer may not have got that far.
  if (!next?.isBargeIn && turn.transcript && !scripted.answer.test(turn.answer))
    faults.push(`the answer is wrong: "${turn.answer}"`);
  if (scripted.isBargeIn) {
    if (turn.bargeInStopMs === undefined) faults.push('the agent had finished before it could be interrupted');
    else if (turn.bargeInStopMs > MAX_BARGE_IN_STOP_MS) {
      faults.push(`the agent talked on for ${Math.round(turn.bargeInStopMs)} ms after being interrupted`);
    }
  }
  return faults;
}
