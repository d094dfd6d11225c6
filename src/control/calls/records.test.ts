import { describe, expect, it } from 'vitest';
import type { CallEvent } from '../../pipeline/ports.ts';
import { CallRecords } from './records.ts';

const at = new Date('2026-11-22T10:00:00Z');
const facts = (id: string) => ({
  id,
  agentId: 'ada',
  agentVersion: 1,
  direction: 'inbound' as const,
  from: '+1',
  to: '+2',
  startedAt: at,
});

describe('call records', () => {
  it('turn events into what was said and heard, and how long it took', () => {
    const records = new CallRecords(() => at);
    records.begin(facts('CA1'));
    const stages = { speech_ended_at_ms: 900, first_audio_ms: 450 };
    const events: CallEvent[] = [
      { at_ms: 0, type: 'call-started' },
      { at_ms: 1_000, type: 'caller-said', turn: 1, text: 'Hi' },
      { at_ms: 1_350, type: 'turn-traced', turn: 1, stages },
      {
        at_ms: 2_000,
        type: 'agent-said',
        kind: 'reply',
        text: 'Hello there.',
        heard_text: 'Hello',
        heard_ms: 300,
        interrupted: true,
      },
    ];
    for (const event of events) records.append('CA1', event);
    expect(records.get('CA1')).toMatchObject({
      status: 'in_progress',
      end_reason: null,
      messages: [
        { role: 'caller', text: 'Hi', heard_text: 'Hi', at_ms: 1_000 },
        { role: 'agent', text: 'Hello there.', heard_text: 'Hello', at_ms: 2_000 },
      ],
      turns: [{ voice_to_voice_ms: 450, stages }],
      events,
    });
    records.append('CA1', { at_ms: 3_000, type: 'call-ended', reason: 'internal-error' });
    expect(records.get('CA1')).toMatchObject({
      status: 'failed',
      end_reason: 'internal-error',
      ended_at: at.toISOString(),
    });
  });

  it('tell a follower what has been and what comes, until it leaves', () => {
    const records = new CallRecords();
    records.begin(facts('CA1'));
    records.append('CA1', { at_ms: 0, type: 'call-started' });
    const seen: string[] = [];
    const leave = records.follow('CA1', ({ type }) => seen.push(type));
    records.append('CA1', { at_ms: 1, type: 'barge-in' });
    leave?.();
    records.append('CA1', { at_ms: 2, type: 'barge-in' });
    expect(seen).toEqual(['call-started', 'barge-in']);
    expect(records.follow('CA2', () => {})).toBeUndefined();
  });

  it('forget the oldest ended calls, never one in progress', () => {
    const records = new CallRecords();
    records.begin(facts('live'));
    for (let call = 0; call < 600; call++) {
      records.begin(facts(`CA${call}`));
      records.append(`CA${call}`, { at_ms: 0, type: 'call-ended', reason: 'caller-hung-up' });
    }
    expect(records.get('live')).toBeDefined();
    expect(records.get('CA0')).toBeUndefined();
    expect(records.list(1_000)).toHaveLength(500);
    expect(records.list(1)[0]?.id).toBe('CA599');
  });
});
