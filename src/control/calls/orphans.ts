/** Ends, in the records, the calls whose server is gone: those that this one's predecessor left, and those of dead ones. */
import { sql } from 'drizzle-orm';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../core/log.ts';
import { findCallOwners, findOpenCalls } from '../db/lookups.ts';
import type { TenantDoor } from '../db/tenant.ts';
import { searchedWords } from './record-writer.ts';

export interface OrphanKeeperOptions {
  readonly door: TenantDoor;
  /** This start of this server, which owns its calls. */
  readonly instanceId: string;
  /** Its data directory: no other server that lives has the same (data-directory.ts). */
  readonly nodeId: string;
  readonly log: Log;
  /** Resolves when what the predecessor had to say has been written: it may have ended its calls itself. */
  readonly replayed: Promise<void>;
  readonly beatEveryMs?: number;
  readonly deadAfterMs?: number;
}

const BEAT_EVERY_MS = 2_000;
/** With one beat more the calls of a dead server are closed within 10 s. */
const DEAD_AFTER_MS = 7_000;

/**
 * Beats for this server, and watches the others that have calls. An earlier start on the same node is dead for certain.
 * Another node's counts as dead when its beats have stood still for `deadAfterMs` while this one could write its own without
 * a fault: an outage of the database silences all alike and proves nothing.
 */
export class OrphanKeeper {
  readonly #options: OrphanKeeperOptions;
  readonly #stop = new AbortController();
  readonly #watched = new Map<string, { readonly beats: number; readonly sinceMs: number }>();
  readonly #loop: Promise<void>;
  #replayed = false;
  #isBeating = true;

  private constructor(options: OrphanKeeperOptions) {
    this.#options = options;
    options.replayed.then(
      () => (this.#replayed = true),
      (thrown: unknown) => options.log.error({ err: thrown }, 'the spool of call records was not replayed'),
    );
    this.#loop = this.#run();
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
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { log, beatEveryMs = BEAT_EVERY_MS } = this.#options;
    while (!signal.aborted) {
      try {
        await beat(this.#options);
        this.#isBeating = true;
        await this.#watch();
      } catch (thrown) {
        this.#isBeating = false;
        // Standing still proves something only from the next success on.
        this.#watched.clear();
        log.warn({ err: thrown }, 'the heartbeat of this server could not be written');
      }
      await sleep(beatEveryMs, undefined, { signal }).catch(() => {});
    }
  }

  async #watch(): Promise<void> {
    const { door, instanceId, nodeId, deadAfterMs = DEAD_AFTER_MS } = this.#options;
    const owners = await door.beforeTenant(findCallOwners);
    const nowMs = performance.now();
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
      if (seen?.beats !== beats) this.#watched.set(id, { beats, sinceMs: nowMs });
      else if (nowMs - seen.sinceMs >= deadAfterMs) await this.#endCallsOf(id, 'server-lost');
    }
  }

  async #endCallsOf(ownerId: string, reason: 'server-restarted' | 'server-lost'): Promise<void> {
    const { door, log } = this.#options;
    let ended = 0;
    for (const { id, org_id: orgId } of await door.beforeTenant((tx) => findOpenCalls(tx, ownerId))) {
      const { rows } = await door.inTenant(orgId, (tx) => tx.execute(endOrphan(id, reason)));
      ended += rows.length;
    }
    if (ended > 0) log.warn({ calls: ended, reason, instanceId: ownerId }, 'calls whose server is gone were closed');
  }
}

async function beat({ door, instanceId, nodeId }: OrphanKeeperOptions): Promise<void> {
  await door.beforeTenant((tx) =>
    tx.execute(sql`INSERT INTO instances (id, node_id, host) VALUES (${instanceId}, ${nodeId}, ${hostname()})
      ON CONFLICT (id) DO UPDATE SET beats = instances.beats + 1, heartbeat_at = now()`),
  );
}

/** After everything that its server, should it live after all, may still say: an event of the same number would be lost. */
const LAST_SEQ = 2_147_483_647;

/** Its duration is not known better than by the last thing that was heard of it. */
const endOrphan = (callId: string, reason: string) => sql`
  WITH last AS (SELECT coalesce(max(at_ms), 0) AS at_ms FROM call_events WHERE call_id = ${callId}),
  ended AS (UPDATE calls SET status = 'failed', end_reason = ${reason}, ended_at = now(), duration_ms = last.at_ms,
    search = ${searchedWords}
    FROM last WHERE id = ${callId} AND ended_at IS NULL RETURNING org_id, id),
  conversation AS (UPDATE conversations SET status = 'abandoned', ended_at = now()
    WHERE call_id IN (SELECT id FROM ended) AND status = 'active'),
  event AS (INSERT INTO call_events (org_id, call_id, seq, type, at_ms, payload)
    SELECT org_id, id, ${LAST_SEQ}, 'call-ended', at_ms, jsonb_build_object('reason', ${reason}::text) FROM ended, last
    ON CONFLICT DO NOTHING)
  SELECT id FROM ended`;
