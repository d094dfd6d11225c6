/**
 * Requests to the API at moments fixed beforehand, from a process of its own: forked by {@link runLoad}. Times are from the moment
 * a request was due to its last byte, so that one which waited for a connection, or for this process, has waited.
 */
import { fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Pool } from 'undici';
import { z } from 'zod';
import { seededRandom } from '../turn-taking/stats.ts';
import { arrivalTimes, pick } from './arrivals.ts';

const planSchema = z.object({
  url: z.string(),
  apiKey: z.string(),
  /** Kinds of requests, with how often each comes and the paths that take turns. */
  kinds: z.array(z.object({ kind: z.string(), weight: z.number(), paths: z.array(z.string()).min(1) })),
  ratePerSecond: z.number(),
  durationMs: z.number(),
  /** Requests before this are not counted: connections are opened and caches filled by them. */
  warmUpMs: z.number(),
  connections: z.number(),
  seed: z.number(),
});
const reportSchema = z.object({
  /** Latencies of each kind, in milliseconds. */
  latenciesMs: z.record(z.string(), z.array(z.number())),
  /** What went wrong, warm-up included; a selection. */
  errors: z.array(z.string()),
  failed: z.number(),
  /** How much later than due each request was sent: this process's share of the latencies. */
  sentLateMs: z.array(z.number()),
  /** From the first due moment that counts to the last answer. */
  tookMs: z.number(),
});

export type LoadPlan = z.infer<typeof planSchema>;
export type LoadReport = z.infer<typeof reportSchema>;

const REQUEST_TIMEOUT_MS = 10_000;
const MAX_ERRORS_TOLD = 5;

/**
 * Runs the whole plan; `prepare` is told the process that will do it. Rejects when the process cannot; what the server does wrong is in
 * the report.
 */
export async function runLoad(plan: LoadPlan, prepare?: (pid: number) => Promise<unknown>): Promise<LoadReport> {
  const child = fork(fileURLToPath(import.meta.url), { serialization: 'json' });
  if (child.pid !== undefined) await prepare?.(child.pid);
  try {
    return await new Promise((resolve, reject) => {
      child.once('message', (message) => resolve(reportSchema.parse(message)));
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`the load ended with code ${code}`)));
      child.send(plan);
    });
  } finally {
    if (child.connected) child.disconnect();
  }
}

/** In the child. */
async function send(plan: LoadPlan): Promise<LoadReport> {
  const pool = new Pool(plan.url, { connections: plan.connections, headersTimeout: REQUEST_TIMEOUT_MS });
  const random = seededRandom(plan.seed);
  const due = arrivalTimes(plan.ratePerSecond, plan.durationMs, random);
  const report: LoadReport = { latenciesMs: {}, errors: [], failed: 0, sentLateMs: [], tookMs: 0 };
  const turnOf = new Map<string, number>();
  const headers = { authorization: `Bearer ${plan.apiKey}` };

  const one = async (path: string, kind: string, dueAtMs: number, counts: boolean): Promise<void> => {
    try {
      const { statusCode, body } = await pool.request({ path, method: 'GET', headers });
      const text = await body.text();
      if (statusCode !== 200) throw new Error(`${statusCode} ${text.slice(0, 200)}`);
      if (counts) (report.latenciesMs[kind] ??= []).push(performance.now() - dueAtMs);
    } catch (thrown) {
      report.failed++;
      if (report.errors.length < MAX_ERRORS_TOLD) report.errors.push(`${path}: ${String(thrown)}`);
    }
  };

  const startedAtMs = performance.now();
  const open: Promise<void>[] = [];
  for (const atMs of due) {
    const waitMs = startedAtMs + atMs - performance.now();
    // Timers know whole milliseconds only; what is due within one is sent, not waited for.
    if (waitMs > 0.5) await sleep(Math.max(1, Math.round(waitMs)));
    const { kind, paths } = pick(plan.kinds, random());
    const turn = turnOf.get(kind) ?? 0;
    turnOf.set(kind, turn + 1);
    const counts = atMs >= plan.warmUpMs;
    if (counts) report.sentLateMs.push(Math.max(0, performance.now() - startedAtMs - atMs));
    open.push(one(paths[turn % paths.length] ?? '/', kind, startedAtMs + atMs, counts));
  }
  await Promise.all(open);
  report.tookMs = performance.now() - startedAtMs - plan.warmUpMs;
  await pool.close();
  return report;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.once('message', (message) => {
    send(planSchema.parse(message)).then(
      (report) => process.send?.(report),
      (thrown: unknown) => {
        console.error(thrown);
        process.exit(1);
      },
    );
  });
}
