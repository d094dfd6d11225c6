/** What the people at the console and the programs of customers ask for: lists of calls, by everything they can be filtered by, and details. */
import { isRecord } from '../emulators/json.ts';
import type { LoadPlan } from './load.ts';

type Kind = LoadPlan['kinds'][number];

export const DETAIL = 'detail';
const LIMIT = 50;
const PAGES = 40;
const DAY_MS = 86_400_000;
/** Paths of each kind that take turns. */
const VARIANTS = 200;

/** Reads one path of the API. */
export type Get = (path: string) => Promise<unknown>;

/**
 * The mixture: half details, half lists. `get` is asked for cursors and for calls that have messages (each tenth of those that
 * seed.ts makes), and once for each kind, so that none of them measures an empty list. Throws when one does.
 */
export async function requestKinds(get: Get, agentIds: readonly string[]): Promise<Kind[]> {
  const { cursors, ids } = await walkPages(get);
  const kinds: Kind[] = [
    { kind: DETAIL, weight: 50, paths: ids.map((id) => `/api/v1/calls/${id}`) },
    list('newest', 10, () => ({})),
    list('later page', 8, (turn) => ({ cursor: cursors[turn % cursors.length] ?? '' })),
    list('status', 6, () => ({ status: 'failed' })),
    list('agent', 6, (turn) => ({ agent_id: agentIds[turn % agentIds.length] ?? '' })),
    list('direction', 4, (turn) => ({ direction: turn % 2 === 0 ? 'inbound' : 'outbound' })),
    list('number', 6, (turn) => ({ number: `+1555${(turn * 7) % 2000}` })),
    list('time', 5, (turn) => ({ from: daysAgo((turn % 25) + 1), to: daysAgo(turn % 25) })),
    list('rare word', 3, (turn) => ({ q: `word${1 + turn * 13}` })),
    list('topic', 2, (turn) => ({ q: `topic${turn % 200} table` })),
  ];
  for (const { kind, paths } of kinds) {
    const answer = await get(paths[0] ?? '');
    const shown = isRecord(answer) ? answer[kind === DETAIL ? 'events' : 'items'] : undefined;
    if (!Array.isArray(shown) || shown.length === 0) throw new Error(`${paths[0]} has nothing to show.`);
  }
  return kinds;
}

function list(kind: string, weight: number, queryOf: (turn: number) => Readonly<Record<string, string>>): Kind {
  const paths = Array.from({ length: VARIANTS }, (_, turn) => {
    return `/api/v1/calls?${new URLSearchParams({ ...queryOf(turn), limit: String(LIMIT) }).toString()}`;
  });
  return { kind: `list: ${kind}`, weight, paths };
}

const daysAgo = (days: number): string => new Date(Date.now() - days * DAY_MS).toISOString();

async function walkPages(get: Get): Promise<{ cursors: string[]; ids: string[] }> {
  const cursors: string[] = [];
  const ids: string[] = [];
  for (let path = '/api/v1/calls?limit=100'; cursors.length < PAGES;) {
    const page = await get(path);
    const items: unknown = isRecord(page) ? page['items'] : undefined;
    const next: unknown = isRecord(page) ? page['next_cursor'] : undefined;
    if (!Array.isArray(items) || typeof next !== 'string') throw new Error(`${path} is the last page already.`);
    for (const item of items)
      if (isRecord(item) && typeof item['id'] === 'string' && isSampled(item['metadata'])) ids.push(item['id']);
    cursors.push(next);
    path = `/api/v1/calls?limit=100&cursor=${next}`;
  }
  return { cursors, ids };
}

function isSampled(metadata: unknown): boolean {
  return isRecord(metadata) && typeof metadata['ref'] === 'number' && metadata['ref'] % 10 === 0;
}
