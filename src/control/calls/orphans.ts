/** Ends, in the records, the calls whose server is gone: those that this one's predecessor left, and those of dead ones. */
import { sql } from 'drizzle-orm';
import type { SQL } from 'drizzle-orm';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../core/log.ts';
import { findCallOwners, findOpenCalls } from '../db/lookups.ts';
import type { TenantDoor } from '../db/tenant.ts';
import { NO_PRICES } from './prices.ts';
import type { Prices } from './prices.ts';
import { lockEvents, searchedWords } from './record-writer.ts';
import { settleCosts } from './usage-writer.ts';

export interface OrphanKeeperOptions {
  readonly door: TenantDoor;
  /** For the heartbeat alone: nothing else that this server asks may hold it up. Default: `door`. */
  readonly beatDoor?: TenantDoor;
  /** This start of this server, which owns its calls. */
  readonly instanceId: string;
  /** Its data directory: no other server that lives has the same (data-directory.ts). */
  readonly nodeId: string;
  /** Of what calls use. Absent: nothing has a price. */
  readonly prices?: Prices | undefined;
  readonly log: Log;
  /** Resolves when what the predecessor had to say has been written: it may have ended its calls itself. */
  readonly replayed: Promise<void>;
  readonly beatEveryMs?: number;
  readonly deadAfterBeats?: number;
}

const BEAT_EVERY_MS = 2_000;
/** The calls of a dead server are closed within 10 s of its last beat. */
const DEAD_AFTER_BEATS = 4;
/** In one transaction. */
const ENDED_TOGETHER = 100;

interface Watched {
  readonly beats: number;
  /** Beats of this server that had succeeded in time when it was seen. */
  readonly ownBeats: number;
}

/**
 * Beats for this server, and watches the others that have calls. An earlier start on the same node is dead for certain.
 * Another node's counts as dead when it stood still while `deadAfterBeats` of this one's own beats succeeded in time, one after the
 * other. A database that is away, or only slow, silences all alike and proves nothing.
 */
export class OrphanKeeper {
  readonly #options: OrphanKeeperOptions;
  readonly #stop = new AbortController();
  readonly #watched = new Map<string, Watched>();
  readonly #loops: Promise<unknown>;
  #replayed = false;
  #isBeating = true;
  #beatsInTime = 0;

  private constructor(options: OrphanKeeperOptions) {
    this.#options = options;
    options.replayed.then(
      () => (this.#replayed = true),
      (thrown: unknown) => options.log.error({ err: thrown }, 'the spool of call records was not replayed'),
    );
    this.#loops = Promise.all([this.#repeat(() => this.#beat()), this.#repeat(() => this.#watch())]);
  }

  /** Before any call is taken: its row names this instance. Throws when the database is away. */
  static async start(options: OrphanKeeperOptions): Promise<OrphanKeeper> {
    await beat(options);
    return new OrphanKeeper(options);
  }

  /** Whether the last heartbeat could be written. */
  get isBeating(): boolean {
    return this.#isBeating;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loops;
  }

  async #repeat(round: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    const { beatEveryMs = BEAT_EVERY_MS } = this.#options;
    while (!signal.aborted) {
      await round();
      await sleep(beatEveryMs, undefined, { signal }).catch(() => {});
    }
  }

  async #beat(): Promise<void> {
    const { log, beatEveryMs = BEAT_EVERY_MS } = this.#options;
    const startedMs = performance.now();
    try {
      await beat(this.#options);
      this.#isBeating = true;
    } catch (thrown) {
      this.#isBeating = false;
      log.warn({ err: thrown }, 'the heartbeat of this server could not be written');
    }
    if (this.#isBeating && performance.now() - startedMs <= beatEveryMs) this.#beatsInTime++;
    // Whoever stood still meanwhile may have waited for the same database.
    else this.#watched.clear();
  }

  async #watch(): Promise<void> {
    const { door, instanceId, nodeId, log, deadAfterBeats = DEAD_AFTER_BEATS } = this.#options;
    // Before it is asked: what is read is at least as new.
    const ownBeats = this.#beatsInTime;
    try {
      const owners = await door.beforeTenant(findCallOwners);
      for (const id of this.#watched.keys()) {
        if (!owners.some(({ instance_id: owner }) => owner === id)) this.#watched.delete(id);
      }
      for (const { instance_id: id, node_id: node, beats } of owners) {
        if (id === instanceId) continue;
        if (node === nodeId) {
          if (this.#replayed) await this.#endCallsOf(id, 'server-restarted');
          continue;
        }
        const seen = this.#watched.get(id);
        if (seen?.beats !== beats) this.#watched.set(id, { beats, ownBeats: this.#beatsInTime });
        else if (ownBeats - seen.ownBeats >= deadAfterBeats) await this.#endCallsOf(id, 'server-lost');
      }
    } catch (thrown) {
      log.warn({ err: thrown }, 'the calls of servers that are gone could not be looked for');
    }
  }

  async #endCallsOf(ownerId: string, reason: 'server-restarted' | 'server-lost'): Promise<void> {
    const { door, log, instanceId, prices = NO_PRICES } = this.#options;
    const byOrg = new Map<string, string[]>();
    for (const { id, org_id: orgId } of await door.beforeTenant((tx) => findOpenCalls(tx, ownerId)))
      byOrg.set(orgId, [...(byOrg.get(orgId) ?? []), id]);
    let ended = 0;
    for (const [orgId, ids] of byOrg) {
      for (let from = 0; from < ids.length; from += ENDED_TOGETHER) {
        if (this.#stop.signal.aborted) return;
        const some = ids.slice(from, from + ENDED_TOGETHER);
        ended += await door.inTenant(orgId, async (tx) => {
          await lockEvents(tx, orgId);
          await tx.execute(takeOver(some, instanceId));
          const { rows } = await tx.execute<{ id: string }>(endOrphans(some, reason, instanceId));
          await settleCosts(
            tx,
            rows.map(({ id }) => id),
            prices,
          );
          return rows.length;
        });
      }
    }
    if (ended > 0) log.warn({ calls: ended, reason, instanceId: ownerId }, 'calls whose server is gone were closed');
  }
}

async function beat({ door, beatDoor = door, instanceId, nodeId }: OrphanKeeperOptions): Promise<void> {
  await beatDoor.beforeTenant((tx) =>
    tx.execute(sql`INSERT INTO instances (id, node_id, host) VALUES (${instanceId}, ${nodeId}, ${hostname()})
      ON CONFLICT (id) DO UPDATE SET beats = instances.beats + 1, heartbeat_at = now()`),
  );
}

/** After everything that its server, should it live after all, may still say: an event of the same number would be lost. */
const LAST_SEQ = 2_147_483_647;

const oneOf = (ids: readonly string[]): SQL => sql`ANY (${`{${ids.join(',')}}`}::uuid[])`;

/**
 * A telephone that rings does not know that the server is gone: whoever gets its webhook has the call. Until then it is this server's, which
 * ends it if nobody says any more what became of it (unopened.ts).
 */
const takeOver = (ids: readonly string[], instanceId: string): SQL => sql`
  UPDATE calls SET instance_id = ${instanceId}
  WHERE id = ${oneOf(ids)} AND ended_at IS NULL AND direction = 'outbound' AND status IN ('initiated', 'ringing')`;

/** Their duration is not known better than by the last thing that was heard of them. */
const endOrphans = (ids: readonly string[], reason: string, instanceId: string): SQL => sql`
  WITH ended AS (UPDATE calls SET status = 'failed', end_reason = ${reason}, ended_at = now(),
    duration_ms = (SELECT coalesce(max(at_ms), 0) FROM call_events WHERE call_id = calls.id), search = ${searchedWords}
    WHERE id = ${oneOf(ids)} AND ended_at IS NULL AND instance_id <> ${instanceId} RETURNING org_id, id, duration_ms),
  conversation AS (UPDATE conversations SET status = 'abandoned', ended_at = now()
    WHERE call_id IN (SELECT id FROM ended) AND status = 'active'),
  event AS (INSERT INTO call_events (org_id, call_id, seq, type, at_ms, payload)
    SELECT org_id, id, ${LAST_SEQ}, 'call-ended', duration_ms, jsonb_build_object('reason', ${reason}::text) FROM ended
    ON CONFLICT DO NOTHING)
  SELECT id FROM ended`;
