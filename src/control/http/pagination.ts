/** Lists in pages, each found by the place where the last one ended, so that new rows shift nothing: newest first, or by a number. */
import { z } from 'zod';
import type { RowPosition } from '../db/keyset.ts';
import { fieldProblem } from './problem.ts';

const position = z.tuple([z.iso.datetime({ offset: true }), z.uuid()]);

const CURSOR = '`next_cursor` of the page before.';

/** The query fields of every list. */
export const pageQuery = {
  cursor: z
    .string()
    .max(200)
    .optional()
    .describe(`${CURSOR} Opaque: it is valid for the same list only, and may change its form.`),
  limit: z.coerce.number().int().min(1).max(100).default(20).describe('Entries per page.'),
};

/** Those of a list whose rows are numbered, from `min` to `max`: its cursor is the number of the last row. */
export function numberedPageQuery({ min, max }: { readonly min: number; readonly max: number }) {
  return { ...pageQuery, cursor: z.coerce.number().int().min(min).max(max).optional().describe(CURSOR) };
}

/** The answer of every list. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    next_cursor: z.string().nullable().describe('Pass as `cursor` for the next page; null: this is the last one.'),
  });
}

/** Throws `invalid-fields` for a cursor that no list has given out. */
export function decodeCursor(cursor: string | undefined): RowPosition | undefined {
  if (cursor === undefined) return undefined;
  try {
    const [at, id] = position.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
    return { at, id };
  } catch {
    const detail = 'is not a cursor of this list; leave it out for the first page';
    throw fieldProblem('invalid-fields', `query /cursor: ${detail}`, [{ in: 'query', pointer: '/cursor', detail }]);
  }
}

/** Makes a page of up to `limit` rows; ask the database for `limit + 1`, which tells whether there is another page. */
export function toPage<Row, Item>(
  rows: readonly Row[],
  limit: number,
  positionOf: (row: Row) => RowPosition,
  toItem: (row: Row) => Item,
): Page<Item> {
  return pageBehind(rows, limit, (row) => encodeCursor(positionOf(row)), toItem);
}

/** {@link toPage} for a list whose rows are numbered. */
export function toNumberedPage<Row, Item>(
  rows: readonly Row[],
  limit: number,
  numberOf: (row: Row) => number,
  toItem: (row: Row) => Item,
): Page<Item> {
  return pageBehind(rows, limit, (row) => String(numberOf(row)), toItem);
}

interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

function pageBehind<Row, Item>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (row: Row) => string,
  toItem: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return { items: shown.map(toItem), next_cursor: last === undefined ? null : cursorOf(last) };
}

function encodeCursor({ at, id }: RowPosition): string {
  return Buffer.from(JSON.stringify([at, id])).toString('base64url');
}
