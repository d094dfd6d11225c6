/** Nothing of the agent may reach the wire from one frame after a `clear` until the new turn's first audio or the resume. */
import type { ServerEvent } from '../demo/server-events.ts';
import type { PhoneEvent } from '../phone/phone.ts';
import type { CloudMoment } from './rig.ts';

const FRAME_MS = 20;
/** A clear and the server's event of it, each on its own clock that began with the call, lie no further apart. */
const SAME_MOMENT_MS = 250;
/** Two clocks' rounding, and one frame. */
const RESUME_TOLERANCE_MS = 25;

export interface ClearedCall {
  /** The call's start on the clock of the moments. */
  readonly startedAtMs: number;
  readonly phone: readonly PhoneEvent[];
  readonly server: readonly ServerEvent[];
  readonly moments: readonly CloudMoment[];
}

/** How many clears there were, and what was wrong after them. */
export function checkClears({ startedAtMs, phone, server, moments }: ClearedCall): {
  clears: number;
  faults: string[];
} {
  const faults: string[] = [];
  const clears = phone.filter(({ type }) => type === 'clear');
  for (const { atMs } of clears) {
    const media = phone.find((event) => event.type === 'media' && event.atMs > atMs + FRAME_MS);
    if (!media) continue;
    const silentMs = media.atMs - atMs;
    const resumedMs = resumedAfter(server, atMs);
    if (resumedMs !== undefined) {
      if (silentMs >= resumedMs - RESUME_TOLERANCE_MS) continue;
      faults.push(`audio ${silentMs.toFixed(0)} ms after a clear, ${resumedMs} ms before the resume`);
      continue;
    }
    const newAudioAtMs = newAudioAfter(moments, startedAtMs + atMs);
    if (newAudioAtMs !== undefined && startedAtMs + media.atMs >= newAudioAtMs) continue;
    const between = server.filter(({ at_ms }) => at_ms >= atMs - SAME_MOMENT_MS && at_ms <= media.atMs);
    faults.push(
      `audio ${silentMs.toFixed(0)} ms after a clear, before any of a new turn was made; in between the server told of ` +
        (between.map(({ type, kind }) => (kind ? `${type} (${kind})` : type)).join(', ') || 'nothing'),
    );
  }
  return { clears: clears.length, faults };
}

/** How long after its hold the reply was resumed; undefined when the caller took the floor. */
function resumedAfter(server: readonly ServerEvent[], clearMs: number): number | undefined {
  const from = server.findIndex(
    ({ type, at_ms }) => type === 'interruption-suspected' && Math.abs(at_ms - clearMs) < SAME_MOMENT_MS,
  );
  const held = server[from];
  if (!held) return undefined;
  const next = server.slice(from).find(({ type }) => type === 'resumed' || type === 'barge-in');
  return next?.type === 'resumed' ? next.at_ms - held.at_ms : undefined;
}

/** When the first audio of something that the voice was asked for after the clear left the voice. */
function newAudioAfter(moments: readonly CloudMoment[], clearAtMs: number): number | undefined {
  const old = new Set<string>();
  for (const moment of moments) {
    if (moment.atMs > clearAtMs) break;
    if (moment.type === 'tts-asked' || moment.type === 'audio-sent') old.add(moment.context);
  }
  return moments.find((moment) => moment.type === 'audio-sent' && moment.atMs > clearAtMs && !old.has(moment.context))
    ?.atMs;
}
