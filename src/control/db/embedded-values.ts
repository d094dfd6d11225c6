/** Values between JavaScript and Postgres's text, for the embedded database; as `pg` does it for a server. */
import { Buffer } from 'node:buffer';
import pg from 'pg';
import type { RawResult } from './embedded-protocol.ts';

/** A parameter as Postgres reads it; undefined is NULL. */
export function toParameter(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return toArrayLiteral(value);
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  return JSON.stringify(value);
}

function toArrayLiteral(values: readonly unknown[]): string {
  const items = values.map((value) => {
    if (Array.isArray(value)) return toArrayLiteral(value);
    const text = toParameter(value);
    return text === null ? 'NULL' : `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  });
  return `{${items.join(',')}}`;
}

type ParserOf = (dataTypeId: number) => (text: string) => unknown;

/** The type parsers of a query configuration, or those of `pg`. */
export function parserOf(types: pg.CustomTypesConfig | undefined): ParserOf {
  const source = types ?? pg.types;
  return (dataTypeId) => source.getTypeParser(dataTypeId, 'text') as (text: string) => unknown;
}

/** The rows of a result as arrays or objects of parsed values. */
export function toRows(result: RawResult, rowMode: 'array' | undefined, types: ParserOf): unknown[] {
  const parsers = result.fields.map(({ dataTypeID }) => types(dataTypeID));
  const parse = (text: string | null | undefined, index: number): unknown =>
    text === null || text === undefined ? null : parsers[index]?.(text);
  if (rowMode === 'array') return result.rows.map((row) => row.map(parse));
  return result.rows.map((row) =>
    Object.fromEntries(result.fields.map(({ name }, index) => [name, parse(row[index], index)])),
  );
}
