/** The records of recent calls, in memory and bounded, until the database comes; the shapes are those of the HTTP API. */
import type { CallEvent } from '../../pipeline/ports.ts';
import { messageOf, statusAfter, turnOf } from './projection.ts';
import type { CallMessage, CallTurn } from './projection.ts';

/** What is known of a call before it says anything. */
export interface CallFacts {
  readonly id: string;
  readonly agentId: string;
  readonly agentVersion: number;
  readonly direction: 'inbound' | 'outbound';
  readonly from: string;
  readonly to: string;
  readonly startedAt: Date;
}

/** `GET /api/v1/calls/{id}`. */
export interface CallRecord {
  readonly id: string;
  readonly status: 'in_progress' | 'completed' | 'failed';
  readonly end_reason: string | null;
  readonly direction: 'inbound' | 'outbound';
  readonly from: string;
  readonly to: string;
  readonly agent_id: string;
  readonly agent_version: number;
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly messages: readonly CallMessage[];
  readonly turns: readonly CallTurn[];
  readonly events: readonly CallEvent[];
}

/** The list shows a call without what was said in it. */
export type CallSummary = Omit<CallRecord, 'messages' | 'turns' | 'events'>;

interface Entry {
  readonly facts: CallFacts;
  readonly events: CallEvent[];
  endedAt: Date | undefined;
  readonly listeners: Set<(event: CallEvent) => void>;
}

const MAX_CALLS = 500;
/** Interim transcripts are many; a call of an hour stays below this. */
const MAX_EVENTS_A_CALL = 20_000;

/** Keeps the newest calls. */
export class CallRecords {
  readonly #calls = new Map<string, Entry>();
  readonly #now: () => Date;

  constructor(now: () => Date = () => new Date()) {
    this.#now = now;
  }

  /** Begins a record; the oldest ended one makes room. */
  begin(facts: CallFacts): void {
    if (this.#calls.size >= MAX_CALLS) this.#forgetOldest();
    this.#calls.set(facts.id, { facts, events: [], endedAt: undefined, listeners: new Set() });
  }

  append(id: string, event: CallEvent): void {
    const entry = this.#calls.get(id);
    if (!entry) return;
    if (entry.events.length < MAX_EVENTS_A_CALL || event.type === 'call-ended') entry.events.push(event);
    if (event.type === 'call-ended') entry.endedAt = this.#now();
    for (const listener of entry.listeners) listener(event);
  }

  get(id: string): CallRecord | undefined {
    const entry = this.#calls.get(id);
    if (!entry) return undefined;
    return { ...summary(entry), ...said(entry), events: entry.events };
  }

  /** Newest first. */
  list(limit: number): CallSummary[] {
    return [...this.#calls.values()].slice(-limit).reverse().map(summary);
  }

  /** Calls `listener` with what has happened so far and then with each event as it happens; the result ends that. */
  follow(id: string, listener: (event: CallEvent) => void): (() => void) | undefined {
    const entry = this.#calls.get(id);
    if (!entry) return undefined;
    for (const event of entry.events) listener(event);
    entry.listeners.add(listener);
    return () => entry.listeners.delete(listener);
  }

  #forgetOldest(): void {
    for (const [id, entry] of this.#calls) {
      if (entry.endedAt) {
        this.#calls.delete(id);
        return;
      }
    }
  }
}

function summary({ facts, events, endedAt }: Entry): CallSummary {
  const ended = events.at(-1);
  const endReason = ended?.type === 'call-ended' ? ended.reason : null;
  return {
    id: facts.id,
    status: endReason === null ? 'in_progress' : statusAfter(endReason),
    end_reason: endReason,
    direction: facts.direction,
    from: facts.from,
    to: facts.to,
    agent_id: facts.agentId,
    agent_version: facts.agentVersion,
    started_at: facts.startedAt.toISOString(),
    ended_at: endedAt?.toISOString() ?? null,
  };
}

function said({ events }: Entry): Pick<CallRecord, 'messages' | 'turns'> {
  return {
    messages: events.map(messageOf).filter((message) => message !== undefined),
    turns: events.map(turnOf).filter((turn) => turn !== undefined),
  };
}
