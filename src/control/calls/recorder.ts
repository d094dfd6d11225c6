/** Writes down what calls say: at once to the spool on disk, and from there to the database when that takes it. */
import { appendFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { CallEvent } from '../../pipeline/ports.ts';
import type { EndedCallStatus } from '../db/schema.ts';
import { isAboutData } from '../db/errors.ts';
import type { TenantDoor } from '../db/tenant.ts';
import type { Prices } from './prices.ts';
import { writeLines } from './record-writer.ts';
import { formatLine } from './spool-lines.ts';
import type { BeginLine, SpoolLine } from './spool-lines.ts';
import { Spool } from './spool.ts';
import type { SpoolBatch } from './spool.ts';

/** What is known of a call before it says anything. */
export interface RecordedCall {
  /** By which the pipeline names it. */
  readonly callSid: string;
  /** The call's id; its row may exist already. */
  readonly id: string;
  readonly orgId: string;
  /** Twilio's sid; undefined for a browser call. */
  readonly twilioCallSid: string | undefined;
  readonly direction: 'inbound' | 'outbound';
  readonly channel: 'phone' | 'web';
  readonly from: string;
  readonly to: string;
  readonly agentId: string;
  readonly agentVersion: number;
}

/** How a call ended that had no conversation. */
export interface MissedEnd {
  readonly status: EndedCallStatus;
  readonly reason: string;
  /** More in words; undefined: nothing more is known. */
  readonly detail?: string | undefined;
  /** Default: now. */
  readonly at?: Date | undefined;
  /** Whether {@link CallRecorder.announce} was told of the call before. */
  readonly announced: boolean;
}

export interface RecorderOptions {
  readonly door: TenantDoor;
  /** Of DATA_DIR: holds the spool and, if it comes to that, what the database refused. */
  readonly directory: string;
  /** This start of this server; it has beaten once (orphans.ts), since calls refer to it. */
  readonly instanceId: string;
  /** Of what calls use. Absent: nothing has a price. */
  readonly prices?: Prices | undefined;
  readonly log: Log;
  /** Called after lines of these organizations were committed. */
  readonly onWritten?: (orgIds: readonly string[]) => void;
  /** Bounds the spool. */
  readonly maxSpoolBytes?: number;
}

/** For readiness and metrics. */
export interface RecorderStatus {
  /** False while the database does not take records: calls go on, and their records wait on disk. */
  readonly writing: boolean;
  readonly waitingBytes: number;
  /** Of those, the ones that would go with this process, because the disk has not taken them yet. */
  readonly unsafeBytes: number;
  /** Events lost because the spool was full. */
  readonly droppedLines: number;
  /** Lines that the database refused for good; they are in `rejected.jsonl` of DATA_DIR. */
  readonly rejectedLines: number;
}

/** Lines gather this long, so that a busy server writes few transactions. */
const GATHER_MS = 100;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;
const MAX_REJECTED_BYTES = 64 * 1_024 * 1_024;

interface LiveCall {
  readonly orgId: string;
  nextSeq: number;
  nextUsageSeq: number;
}

/**
 * `announce`, `begin`, `miss` and `append` take at once and never throw. One loop reads the spool and writes batches, each organization's lines
 * in one transaction. A batch that fails is tried until it is taken; only a call whose own data are refused, when they are written alone, is put aside.
 */
export class CallRecorder {
  readonly #options: RecorderOptions;
  readonly #spool: Spool;
  readonly #log: Log;
  readonly #live = new Map<string, LiveCall>();
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  #closing: Promise<void> | undefined;
  #writing = true;
  #rejectedLines = 0;

  private constructor(options: RecorderOptions, spool: Spool) {
    this.#options = options;
    this.#spool = spool;
    this.#log = options.log;
    this.#loop = this.#run();
  }

  /** Opens the spool, and begins to write what an earlier process left in it. */
  static async open(options: RecorderOptions): Promise<CallRecorder> {
    const spool = await Spool.open({
      directory: join(options.directory, 'spool'),
      log: options.log,
      ...(options.maxSpoolBytes === undefined ? {} : { maxBytes: options.maxSpoolBytes }),
    });
    return new CallRecorder(options, spool);
  }

  get status(): RecorderStatus {
    const { waitingBytes, unsafeBytes, droppedLines } = this.#spool;
    return { writing: this.#writing, waitingBytes, unsafeBytes, droppedLines, rejectedLines: this.#rejectedLines };
  }

  /** Resolves when what the earlier process left has been written. */
  get replayed(): Promise<void> {
    return this.#spool.replayed;
  }

  /** The call rings: its stream was asked for. It then begins, or is missed; when this process ends before that, its successor ends it. */
  announce(call: RecordedCall): void {
    this.#spool.append({ kind: 'announced', ...this.#factsOf(call) });
  }

  begin(call: RecordedCall): void {
    const { id, orgId } = call;
    // A webhook that is repeated before its stream comes may open two for the one call: their events go on in one record.
    if (!this.#live.has(id)) this.#live.set(id, { orgId, nextSeq: 0, nextUsageSeq: 0 });
    this.#spool.append({ kind: 'begin', ...this.#factsOf(call) });
  }

  /** The call ended without a conversation; of one that has ended, or has one after all, this changes nothing. */
  miss(call: RecordedCall, { status, reason, detail, at, announced }: MissedEnd): void {
    const facts = this.#factsOf(call);
    this.#spool.append({
      kind: 'missed',
      ...facts,
      at: at?.getTime() ?? facts.at,
      status,
      end_reason: reason,
      end_detail: detail ?? null,
      announced,
    });
  }

  /** Interim transcripts are not kept: their words come again in the final one, and they are most of all events. */
  append(id: string, event: CallEvent): void {
    const call = this.#live.get(id);
    if (!call) {
      this.#log.warn({ call: id, type: event.type }, 'an event of a call that is not recorded');
      return;
    }
    if (event.type === 'transcript' && !event.final) return;
    const about = { call_id: id, org_id: call.orgId, at: Date.now() };
    if (event.type === 'usage-counted') {
      const { stream, final, usage } = event;
      const { instanceId: instance_id } = this.#options;
      const seq = call.nextUsageSeq++;
      return this.#spool.append({ kind: 'usage', ...about, instance_id, stream, seq, final, usage });
    }
    this.#spool.append({ kind: 'event', ...about, seq: call.nextSeq++, event });
    if (event.type === 'call-ended') this.#live.delete(id);
  }

  /** Lets the database take what it takes within `graceMs`; the rest waits on disk for the next process. Idempotent. */
  close(graceMs: number): Promise<void> {
    return (this.#closing ??= this.#close(graceMs));
  }

  #factsOf(call: RecordedCall): Omit<BeginLine, 'kind'> {
    return {
      call_id: call.id,
      org_id: call.orgId,
      at: Date.now(),
      twilio_call_sid: call.twilioCallSid ?? null,
      direction: call.direction,
      channel: call.channel,
      from_number: call.from,
      to_number: call.to,
      agent_id: call.agentId,
      agent_version: call.agentVersion,
      instance_id: this.#options.instanceId,
    };
  }

  async #close(graceMs: number): Promise<void> {
    const deadlineMs = performance.now() + graceMs;
    while (this.#spool.waitingBytes > 0 && this.#writing && performance.now() < deadlineMs) await sleep(20);
    this.#stop.abort();
    await this.#loop;
    await this.#spool.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (;;) {
      const batch = await this.#nextBatch();
      if (!batch || !(await this.#writeUntilTaken(batch.lines))) return;
      await this.#spool.commit(batch);
      this.#options.onWritten?.([...new Set(batch.lines.map(({ org_id: org }) => org))]);
      await sleep(GATHER_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Undefined when the recorder closes. */
  async #nextBatch(): Promise<SpoolBatch | undefined> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        return await this.#spool.next(signal);
      } catch (thrown) {
        this.#log.error({ err: thrown }, 'the spool of call records cannot be read; trying again');
        await sleep(LAST_RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
    return undefined;
  }

  /** True when the database has the lines, or has refused them for good; false when the recorder closes first. */
  async #writeUntilTaken(lines: readonly SpoolLine[]): Promise<boolean> {
    const { signal } = this.#stop;
    const untaken = groupBy(lines, ({ org_id: org }) => org);
    for (let retryMs = FIRST_RETRY_MS; !signal.aborted; retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)) {
      try {
        for (const [orgId, ofOrg] of untaken) {
          await this.#writeTenant(orgId, ofOrg);
          untaken.delete(orgId);
        }
        if (!this.#writing)
          this.#log.info({ waitingBytes: this.#spool.waitingBytes }, 'the database takes call records again');
        this.#writing = true;
        return true;
      } catch (thrown) {
        const waitingBytes = this.#spool.waitingBytes;
        if (this.#writing)
          this.#log.error({ err: thrown, waitingBytes }, 'the database takes no call records; they wait on disk');
        this.#writing = false;
      }
      await sleep(retryMs, undefined, { signal }).catch(() => {});
    }
    return false;
  }

  /** Throws only what trying again can help. Of lines that are refused together, those of other calls are written. */
  async #writeTenant(orgId: string, lines: readonly SpoolLine[]): Promise<void> {
    try {
      await this.#options.door.inTenant(orgId, (tx) => writeLines(tx, lines, this.#options.prices));
    } catch (thrown) {
      const error = BvraiError.from(thrown);
      if (!isAboutData(error)) throw error;
      const calls = groupBy(lines, ({ call_id: call }) => call);
      const [only] = calls;
      if (error.details['constraint'] === 'calls_twilio_call_sid_key' && calls.size === 1)
        // A further stream of a telephone call, by a redirection say: a call of its own, and the first one has the sid.
        await this.#writeTenant(orgId, lines.map(withoutSid));
      else if (calls.size === 1 && only) await this.#reject(only[0], lines, error);
      else for (const ofCall of calls.values()) await this.#writeTenant(orgId, ofCall);
    }
  }

  async #reject(callId: string, lines: readonly SpoolLine[], error: BvraiError): Promise<void> {
    const file = join(this.#options.directory, 'rejected.jsonl');
    const bytes = (await stat(file).catch(() => undefined))?.size ?? 0;
    this.#rejectedLines += lines.length;
    this.#log.error({ err: error, callId, lines: lines.length, file }, 'the database refused call records for good');
    if (bytes < MAX_REJECTED_BYTES) await appendFile(file, lines.map(formatLine).join(''), { mode: 0o600 });
  }
}

function withoutSid(line: SpoolLine): SpoolLine {
  return line.kind === 'event' || line.kind === 'usage' ? line : { ...line, twilio_call_sid: null };
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
