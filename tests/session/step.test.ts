import { describe, expect, it } from 'vitest';
import { agentSchema, toAgentConfig } from '../../src/control/agents/schema.ts';
import type { Action, CallState, SessionEvent } from '../../src/pipeline/session/state.ts';
import { newCall } from '../../src/pipeline/session/state.ts';
import { nextWakeMs, step } from '../../src/pipeline/session/step.ts';

const agent = toAgentConfig(
  'ada',
  agentSchema.parse({
    name: 'Ada',
    turn_taking: {
      end_of_turn_silence_ms: 400,
      turn_deadline_ms: 6_000,
      filler_after_ms: 6_000,
      speculation: { enabled: false },
    },
  }),
);

/** Runs events, each at its time, through the machine. */
function run(
  state: CallState,
  events: readonly (readonly [number, SessionEvent])[],
): { state: CallState; actions: Action[] } {
  const actions: Action[] = [];
  let current = state;
  for (const [nowMs, event] of events) {
    const stepped = step(current, event, nowMs);
    current = stepped.state;
    actions.push(...stepped.actions);
  }
  return { state: current, actions };
}

const asked = run(newCall(agent, 0), [
  [0, { type: 'call-started' }],
  [1_000, { type: 'voice-started', startedAtMs: 900 }],
  [2_200, { type: 'voice-ended', endedAtMs: 2_000 }],
  [2_250, { type: 'transcript-final', text: 'Hello?', confidence: 1, settled: true }],
]).state;

describe('the call machine', () => {
  it('asks to be woken when the silence is long enough', () => {
    expect(asked.phase.type).toBe('listening');
    expect(nextWakeMs(asked, 2_250)).toBe(2_400);
  });

  it('forgets nothing that falls due between a step and the question when to wake', () => {
    // A timer that fired a fraction early: the step saw "not yet", and by the time of the question the moment had passed.
    const early = run(asked, [[2_399.95, { type: 'tick' }]]).state;
    expect(early.phase.type).toBe('listening');
    expect(nextWakeMs(early, 2_400.05)).toBeLessThanOrEqual(2_400.05);
    const thinking = run(asked, [[2_400, { type: 'tick' }]]).state;
    expect(thinking.phase.type).toBe('thinking');
    expect(nextWakeMs(thinking, 8_400.01)).toBe(8_400);
  });

  it('does not change the state that it is given', () => {
    const before = structuredClone(asked);
    run(asked, [
      [2_400, { type: 'tick' }],
      [2_500, { type: 'llm-text', generation: 1, text: 'Good morning to you, ' }],
    ]);
    expect(asked).toEqual(before);
  });

  it('ignores what belongs to a reply that is gone', () => {
    const { state, actions } = run(asked, [
      [2_400, { type: 'tick' }],
      [2_500, { type: 'voice-started', startedAtMs: 2_450 }],
      [2_600, { type: 'voice-continued', speechMs: 150, voicedAtMs: 2_600, heard: undefined }],
    ]);
    expect(actions.map(({ type }) => type)).toContain('cut-reply');
    for (const event of [
      { type: 'llm-text', generation: 1, text: 'Late.' },
      { type: 'llm-finished', generation: 1 },
      { type: 'llm-failed', generation: 1, code: 'x' },
      { type: 'tts-failed', generation: 1, code: 'x' },
      { type: 'reply-audible', generation: 1 },
    ] as const) {
      expect(step(state, event, 2_700)).toEqual({ state, actions: [] });
    }
  });

  it('does nothing after the end', () => {
    const ended = run(asked, [[2_300, { type: 'call-lost', reason: 'caller-hung-up' }]]);
    expect(ended.actions.at(-1)).toEqual({ type: 'emit', event: { type: 'call-ended', reason: 'caller-hung-up' } });
    expect(nextWakeMs(ended.state, 2_300)).toBeUndefined();
    expect(step(ended.state, { type: 'tick' }, 9_000)).toEqual({ state: ended.state, actions: [] });
  });
});
