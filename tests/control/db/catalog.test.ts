/** What the catalog must say: row-level security everywhere, a role without rights, and tables as schema.ts has them. */
import { getTableConfig } from 'drizzle-orm/pg-core';
import { PgTable } from 'drizzle-orm/pg-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as schema from '../../../src/control/db/schema.ts';
import { openTestDatabase } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
}, 90_000);
afterAll(() => db.close());

/** Tables without a tenant: the heartbeats of servers, and the list of migrations. */
const NOT_TENANTS = ['instances', 'schema_migrations'];

describe('the catalog', () => {
  it('has row-level security enabled and forced on every table but those of no tenant, with a policy', async () => {
    const rows = await db.asOwner(`
      SELECT c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
        EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND 'bvrai_app'::regrole = ANY (p.polroles)) AS policy
      FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1`);
    expect(rows.length).toBeGreaterThan(15);
    const open = rows.filter(({ enabled, forced, policy }) => !(enabled && forced && policy)).map(({ name }) => name);
    expect(open).toEqual(NOT_TENANTS);
  });

  it('has a sub-select around the tenant in every policy, so that it is read once a statement', async () => {
    const rows = await db.asOwner(`SELECT tablename, policyname, coalesce(qual, '') || coalesce(with_check, '') AS text
      FROM pg_policies WHERE schemaname = 'public' AND 'bvrai_app' = ANY (roles)`);
    for (const { tablename, policyname, text } of rows) {
      const settings = String(text).match(/current_setting/gu)?.length ?? 0;
      const inSubSelect = String(text).match(/SELECT \(NULLIF\(current_setting/gu)?.length ?? 0;
      expect([tablename, policyname, settings]).toEqual([tablename, policyname, inSubSelect]);
      expect(settings).toBeGreaterThan(0);
    }
  });

  it('gives the roles of the application nothing that goes past it', async () => {
    const roles = await db.asOwner(`SELECT rolname, rolsuper, rolbypassrls, rolcanlogin, rolcreaterole, rolcreatedb
      FROM pg_roles WHERE rolname LIKE 'bvrai\\_app' OR rolname LIKE 'bvrai\\_lookup' ORDER BY 1`);
    const nothing = {
      rolsuper: false,
      rolbypassrls: false,
      rolcanlogin: false,
      rolcreaterole: false,
      rolcreatedb: false,
    };
    expect(roles).toEqual([
      { rolname: 'bvrai_app', ...nothing },
      { rolname: 'bvrai_lookup', ...nothing },
    ]);
    const owned = await db.asOwner(
      `SELECT relname FROM pg_class WHERE pg_get_userbyid(relowner) IN ('bvrai_app', 'bvrai_lookup')`,
    );
    expect(owned).toEqual([]);
    // Being a member of another role would be another way past.
    const memberOf = await db.asOwner(
      `SELECT * FROM pg_auth_members WHERE member::regrole::text IN ('bvrai_app', 'bvrai_lookup')`,
    );
    expect(memberOf).toEqual([]);
  });

  it('lets only the application call the functions that look past row-level security, and pins their search path', async () => {
    const rows =
      await db.asOwner(`SELECT proname, proacl::text AS acl, proconfig::text AS config, pg_get_userbyid(proowner) AS owner
      FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef`);
    expect(rows.map(({ proname }) => String(proname)).sort()).toEqual([
      'lookup_api_key',
      'lookup_call_by_sid',
      'lookup_call_owners',
      'lookup_invitation',
      'lookup_login',
      'lookup_open_calls',
      'lookup_phone_number',
      'lookup_refresh_token',
      'matching_calls',
      'purge_expired',
    ]);
    for (const { acl, config, owner } of rows) {
      expect(owner).toBe('bvrai_lookup');
      // No entry without a role, which would be everybody's.
      expect(acl).not.toMatch(/[{,]=/u);
      expect(acl).toContain('bvrai_app=X');
      expect(config).toContain('search_path=public, pg_temp');
    }
  });

  it('has no view, which would run with its owner’s rights', async () => {
    const views = await db.asOwner(`SELECT viewname FROM pg_views WHERE schemaname = 'public'`);
    expect(views).toEqual([]);
  });

  it('has an index behind every foreign key, so that cascades do not scan', async () => {
    const uncovered = await db.asOwner(`
      SELECT k.conname AS "key" FROM pg_constraint k
      WHERE k.contype = 'f' AND NOT EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indpred IS NULL AND i.indkey[0] = ANY (k.conkey)
          AND (cardinality(k.conkey) = 1 OR i.indkey[1] = ANY (k.conkey)))
      ORDER BY 1`);
    expect(uncovered).toEqual([]);
  });

  it('has the tables of schema.ts: columns, types, defaults or none, null or not', async () => {
    const rows = await db.asOwner(`
      SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) ||
        CASE WHEN a.attnotnull THEN ' not null' ELSE '' END AS line
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
        AND c.relname <> 'schema_migrations'`);
    const declared = Object.values(schema).flatMap((table) => {
      if (!(table instanceof PgTable)) return [];
      const { name, columns } = getTableConfig(table);
      return columns.map(
        (column) => `${name}.${column.name} ${sqlType(column.getSQLType())}${column.notNull ? ' not null' : ''}`,
      );
    });
    expect(declared.sort()).toEqual(rows.map(({ line }) => String(line)).sort());
  });

  it('has the statuses of schema.ts in its checks', async () => {
    const [row] = await db.asOwner(`SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint
      WHERE conrelid = 'calls'::regclass AND contype = 'c' AND conname = 'calls_status_check'`);
    const statuses = [...String(row?.['text']).matchAll(/'(\w+)'/gu)].map(([, status]) => status);
    expect(statuses).toEqual([...schema.CALL_STATUSES]);
  });
});

/** Postgres's own words for what drizzle calls otherwise. */
function sqlType(type: string): string {
  return type
    .replace(/^timestamp \((\d)\) with time zone$/u, 'timestamp($1) with time zone')
    .replace(/^numeric\((\d+), (\d+)\)$/u, 'numeric($1,$2)');
}
