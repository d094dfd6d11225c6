/** Which field of a request is at fault: from the schema's verdict, and from what no text of ours may hold. */

/** The parts of a request that have fields. */
export type RequestPart = 'body' | 'query' | 'path' | 'header';

export interface FieldFault {
  readonly in: RequestPart;
  /** JSON Pointer (RFC 6901) within that part; empty: the part as a whole. */
  readonly pointer: string;
  readonly detail: string;
}

/** An issue as the validator compiler of fastify-type-provider-zod hands it on. */
interface SchemaIssue {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message?: string | undefined;
  readonly params?: Readonly<Record<string, unknown>> | undefined;
}

const PART_OF_CONTEXT: Readonly<Record<string, RequestPart>> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'header',
};

/** The fault behind an issue; `context` is Fastify's word for the part (`body`, `querystring`, `params`, `headers`). */
export function fieldFaultOf(issue: SchemaIssue, context: string | undefined): FieldFault {
  const keys = issue.params?.['keys'];
  // A field that the schema does not know is at fault itself, not the object that holds it.
  const unknown = issue.keyword === 'unrecognized_keys' && Array.isArray(keys) ? `/${escape(String(keys[0]))}` : '';
  const pointer = issue.instancePath === '/' ? '' : issue.instancePath;
  return {
    in: PART_OF_CONTEXT[context ?? 'body'] ?? 'body',
    pointer: pointer + unknown,
    detail: issue.message ?? 'is invalid',
  };
}

function escape(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Deeper than any field of ours; a body nested further would only exhaust the stack of whoever serialises it. */
const MAX_DEPTH = 20;
const NUL = '\u0000';
// A surrogate without its other half; with the u flag a pair is one character and does not match.
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * The first text in a value, field names included, that Postgres cannot hold: a NUL byte, or half a surrogate pair. Also
 * anything nested more than 20 deep. Undefined: all of it can be stored.
 */
export function findUnstorable(value: unknown, part: RequestPart): FieldFault | undefined {
  const stack: { readonly value: unknown; readonly pointer: string; readonly depth: number }[] = [
    { value, pointer: '', depth: 0 },
  ];
  for (let item = stack.pop(); item; item = stack.pop()) {
    const { pointer, depth } = item;
    if (typeof item.value === 'string' && isUnstorable(item.value)) {
      return { in: part, pointer, detail: 'must not contain a NUL character or half a surrogate pair' };
    }
    if (typeof item.value !== 'object' || item.value === null) continue;
    if (depth >= MAX_DEPTH) return { in: part, pointer, detail: `must not be nested more than ${MAX_DEPTH} deep` };
    for (const [key, child] of Object.entries(item.value)) {
      if (isUnstorable(key)) {
        return {
          in: part,
          pointer,
          detail: 'must not have a field whose name contains a NUL character or half a surrogate pair',
        };
      }
      stack.push({ value: child, pointer: `${pointer}/${escape(key)}`, depth: depth + 1 });
    }
  }
  return undefined;
}

function isUnstorable(text: string): boolean {
  return text.includes(NUL) || LONE_SURROGATE.test(text);
}
