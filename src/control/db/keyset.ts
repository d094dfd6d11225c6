/** Lists from the newest row to the oldest, continued behind a row: by its time and id, which an index holds in this order. */
import { desc, sql } from 'drizzle-orm';
import type { AnyColumn, SQL } from 'drizzle-orm';

/** A row's place in such a list. */
export interface RowPosition {
  readonly at: string;
  readonly id: string;
}

/** The condition for rows behind `after`, one comparison of rows, as the index is ordered; undefined: all. */
export function behind(after: RowPosition | undefined, createdAt: AnyColumn, id: AnyColumn): SQL | undefined {
  return after && sql`(${createdAt}, ${id}) < (${after.at}::timestamptz, ${after.id}::uuid)`;
}

/** For ORDER BY. */
export function newestFirst(createdAt: AnyColumn, id: AnyColumn): [SQL, SQL] {
  return [desc(createdAt), desc(id)];
}
