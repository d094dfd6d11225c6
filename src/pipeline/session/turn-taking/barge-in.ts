/** Does the caller's speech interrupt the agent? First version: enough of it, while the agent may be interrupted. */
import type { CallerTurn } from '../state.ts';

export interface BargeInSettings {
  readonly bargeInMs: number;
}

/** Whether what the caller is saying takes the floor from the agent. Only voiced audio counts, so that a click does not. */
export function isBargeIn(turn: CallerTurn, settings: BargeInSettings): boolean {
  return turn.voice.type === 'speaking' && turn.voice.speechMs >= settings.bargeInMs;
}
