/** Has the database explain the queries of the application, as they are asked: in their transaction, with their role and tenant. */
import type { NodePgClient } from 'drizzle-orm/node-postgres';
import { z } from 'zod';
import type { Connection, Database } from '../../src/control/db/database.ts';

export interface ExplainedDatabase {
  readonly database: Database;
  /** Plans of the SELECTs since the last call, each in one text, in their order. */
  takePlans(): Promise<readonly string[]>;
}

interface Client {
  query(config: unknown, values?: readonly unknown[]): Promise<{ readonly rows: readonly Record<string, unknown>[] }>;
}

const question = z.looseObject({ text: z.string() });

export function explained(database: Database): ExplainedDatabase {
  let plans: Promise<string>[] = [];
  const watched = (connection: Connection): Connection => {
    const client = connection.client as unknown as Client;
    const query = (config: unknown, values?: readonly unknown[]): unknown => {
      const { text } = question.parse(config);
      // Sent before the query itself, in the same breath: whoever asks may send the end of the transaction right behind it.
      if (/^\s*select/iu.test(text)) {
        const plan = client.query({ text: `EXPLAIN ${text}` }, values);
        plans.push(plan.then(({ rows }) => rows.map((row) => Object.values(row).join('')).join('\n')));
      }
      return client.query(config, values);
    };
    return { ...connection, client: { query } as unknown as NodePgClient };
  };
  return {
    database: {
      kind: database.kind,
      withConnection: (work) => database.withConnection((connection) => work(watched(connection))),
      listen: (listener) => database.listen(listener),
      // Its owner closes it.
      close: () => Promise.resolve(),
    },
    async takePlans() {
      const taken = plans;
      plans = [];
      return Promise.all(taken);
    },
  };
}
