/** Calls that talk to a recorder, what their records must be, and whether they are. */
import { expect } from 'vitest';
import type { CallRecorder, RecordedCall } from '../../src/control/calls/recorder.ts';
import { readCall } from '../../src/control/calls/store.ts';
import type { StoredCall } from '../../src/control/calls/store.ts';
import { newId } from '../../src/control/db/ids.ts';
import type { TenantDoor } from '../../src/control/db/tenant.ts';
import type { CallEvent } from '../../src/pipeline/ports.ts';

export interface CallOwner {
  readonly orgId: string;
  readonly agentId: string;
}

/** What a recorder is told of a new call. */
export function recordedCall({ orgId, agentId }: CallOwner): RecordedCall {
  const id = newId();
  const callSid = `CA${id.replaceAll('-', '')}`;
  return {
    callSid,
    id,
    orgId,
    twilioCallSid: callSid,
    direction: 'inbound',
    channel: 'phone',
    from: '+15550001',
    to: '+15550100',
    agentId,
    agentVersion: 1,
  };
}

/** One call: event after event, as the pipeline gives them. */
export class TalkingCall {
  readonly id: string;
  readonly callSid: string;
  readonly events: CallEvent[] = [];
  readonly #recorder: CallRecorder;

  constructor(recorder: CallRecorder, owner: CallOwner) {
    const call = recordedCall(owner);
    this.id = call.id;
    this.callSid = call.callSid;
    this.#recorder = recorder;
    recorder.begin(call);
    this.say({ at_ms: 0, type: 'call-started' });
  }

  say(event: CallEvent): void {
    this.events.push(event);
    this.#recorder.append(this.id, event);
  }

  /** One turn: four events, of which two are messages and one a trace. */
  turn(turn: number): void {
    const at = turn * 1_000;
    this.say({ at_ms: at, type: 'transcript', text: `question ${turn}`, final: true, confidence: 0.9 });
    this.say({ at_ms: at + 10, type: 'caller-said', turn, text: `question ${turn}` });
    const stages = { speech_ended_at_ms: at, first_audio_ms: 450.25 };
    this.say({ at_ms: at + 450, type: 'turn-traced', turn, stages });
    this.say({
      at_ms: at + 900,
      type: 'agent-said',
      kind: 'reply',
      text: `answer ${turn} in full`,
      heard_text: `answer ${turn}`,
      heard_ms: 300,
      interrupted: true,
    });
  }

  end(): void {
    this.say({ at_ms: this.events.at(-1)!.at_ms + 1, type: 'call-ended', reason: 'caller-hung-up' });
  }
}

/** What must be in the record of a call of which these events were recorded. */
export function expectRecord(record: StoredCall | undefined, events: readonly CallEvent[]): void {
  const recorded = record?.events.filter(({ seq }) => seq < events.length);
  expect(recorded).toEqual(events.map((event, seq) => ({ ...event, at_ms: Math.round(event.at_ms), seq })));
  const said = events.filter(({ type }) => type === 'caller-said' || type === 'agent-said');
  expect(record?.messages.map(({ text, at_ms }) => ({ text, at_ms }))).toEqual(
    said.map((event) => ({ text: 'text' in event ? event.text : '', at_ms: event.at_ms })),
  );
  expect(record?.turns).toHaveLength(events.filter(({ type }) => type === 'turn-traced').length);
  // Exactly one end, which the call's state agrees with.
  const ends = record?.events.filter(({ type }) => type === 'call-ended');
  expect(ends).toHaveLength(1);
  expect(record?.end_reason).toBe(ends?.[0]?.['reason']);
  expect(record?.ended_at).not.toBeNull();
}

export const readAs = (door: TenantDoor, orgId: string, callId: string): Promise<StoredCall | undefined> =>
  door.inTenant(orgId, (tx) => readCall(tx, callId));
