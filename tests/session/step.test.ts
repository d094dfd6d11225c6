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

  it('has the audio of a text kept only if other calls say it too', () => {
    const spoken = (state: CallState): unknown[] =>
      run(state, [
        [0, { type: 'call-started' }],
        [1_000, { type: 'say', text: 'Your table is number nine.' }],
        [2_000, { type: 'leave' }],
      ]).actions.flatMap((action) => (action.type === 'speak' ? [action.fixed] : []));
    const greeting = { ...agent, firstMessage: 'Hello.' };
    const leaving = [true, true];
    expect(spoken(newCall(greeting, 0))).toEqual([true, false, ...leaving]);
    expect(spoken(newCall(greeting, 0, false))).toEqual([false, false, ...leaving]);
  });

  it('does not change the state that it is given', () => {
    const before = structuredClone(asked);
    run(asked, [
      [2_400, { type: 'tick' }],
      [2_500, { type: 'llm-text', generation: 1, text: 'Good morning to you, ' }],
    ]);
    expect(asked).toEqual(before);
  });

  describe('while a voice is still heard', () => {
    const guessing = toAgentConfig('ada', agentSchema.parse({ name: 'Ada' }));
    const started = (state: readonly Action[]) =>
      state.flatMap((action) => (action.type === 'start-llm' ? (action.messages.at(-1)?.content ?? '') : []));
    const speaking = (text: string, faded: boolean) =>
      run(newCall(guessing, 0), [
        [0, { type: 'call-started' }],
        [1_000, { type: 'voice-started', startedAtMs: 900 }],
        [2_000, { type: 'voice-continued', speechMs: 1_100, voicedAtMs: 1_990, faded: false, heard: undefined }],
        ...(faded ? ([[2_010, { type: 'voice-faded' }]] as const) : []),
        [2_020, { type: 'transcript-interim', text, confidence: 1 }],
      ]);

    it('guesses when a sentence has ended and the voice has faded, or no voice has been found for a while', () => {
      expect(started(speaking('Are you open?', true).actions)).toEqual(['Are you open?']);
      const { state, actions } = speaking('Are you open?', false);
      expect(started(actions)).toEqual([]);
      expect(nextWakeMs(state, 2_020)).toBe(2_050);
      expect(started(run(state, [[2_050, { type: 'tick' }]]).actions)).toEqual(['Are you open?']);
    });

    it('does not take a sentence without its full stop for the end, however quiet it is', () => {
      expect(started(speaking('Where are you', true).actions)).toEqual([]);
    });

    it('takes the fade back when the voice goes on', () => {
      const { state } = speaking('Are', true);
      const { actions } = run(state, [
        [2_030, { type: 'voice-continued', speechMs: 1_130, voicedAtMs: 2_030, faded: false, heard: undefined }],
        [2_040, { type: 'transcript-interim', text: 'Are you open?', confidence: 1 }],
      ]);
      expect(started(actions)).toEqual([]);
    });

    it('keeps the last try for a full stop or a longer pause', () => {
      const first = run(speaking('What', false).state, [
        [2_100, { type: 'voice-ended', endedAtMs: 2_000 }],
        [2_120, { type: 'voice-started', startedAtMs: 2_110 }],
        [2_300, { type: 'transcript-interim', text: 'What is it', confidence: 1 }],
        [2_400, { type: 'voice-ended', endedAtMs: 2_310 }],
      ]);
      expect(started(first.actions)).toEqual(['What']);
      expect(nextWakeMs(first.state, 2_400)).toBe(2_470);
      const unmarked = run(first.state, [[2_470, { type: 'tick' }]]);
      expect(started(unmarked.actions)).toEqual(['What is it']);
      const marked = run(first.state, [
        [2_410, { type: 'transcript-interim', text: 'What is it worth?', confidence: 1 }],
      ]);
      expect(started(marked.actions)).toEqual(['What is it worth?']);
    });
  });

  it('ignores what belongs to a reply that is gone', () => {
    const { state, actions } = run(asked, [
      [2_400, { type: 'tick' }],
      [2_500, { type: 'voice-started', startedAtMs: 2_450 }],
      [2_600, { type: 'voice-continued', speechMs: 150, voicedAtMs: 2_600, faded: false, heard: undefined }],
      [2_650, { type: 'transcript-interim', text: 'On Sundays', confidence: 1 }],
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
