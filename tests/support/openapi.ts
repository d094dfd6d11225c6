/** The OpenAPI document as material for tests: its operations, values that its schemas accept, and a judge of answers. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { z } from 'zod';

type JsonSchema = Readonly<Record<string, unknown>>;

const parameterSchema = z.looseObject({
  name: z.string(),
  in: z.enum(['path', 'query', 'header', 'cookie']),
  required: z.boolean().default(false),
  schema: z.record(z.string(), z.unknown()),
  example: z.unknown().optional(),
});
const mediaSchema = z.record(z.string(), z.looseObject({ schema: z.record(z.string(), z.unknown()) }));
const operationSchema = z.looseObject({
  operationId: z.string(),
  tags: z.array(z.string()).min(1),
  summary: z.string(),
  security: z.array(z.unknown()),
  parameters: z.array(parameterSchema).default([]),
  requestBody: z.looseObject({ content: mediaSchema }).optional(),
  responses: z.record(z.string(), z.looseObject({ description: z.string(), content: mediaSchema.optional() })),
  'x-required-role': z.enum(['viewer', 'member', 'admin', 'owner']).optional(),
  'x-required-scope': z.string().nullable().optional(),
});
const documentSchema = z.looseObject({
  openapi: z.string(),
  paths: z.record(z.string(), z.record(z.string(), operationSchema)),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});

export type OpenApiDocument = z.infer<typeof documentSchema>;
export type Parameter = z.infer<typeof parameterSchema>;
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface Operation {
  readonly id: string;
  readonly method: Method;
  /** With `{parameters}`. */
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly body: JsonSchema | undefined;
  /** Of the answer when all is well. */
  readonly success: number;
  readonly statuses: readonly number[];
  /** Undefined: public. */
  readonly role: 'viewer' | 'member' | 'admin' | 'owner' | undefined;
  /** Null: no API key. */
  readonly scope: string | null;
}

export function parseDocument(json: unknown): OpenApiDocument {
  return documentSchema.parse(json);
}

export function operationsOf(document: OpenApiDocument): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const statuses = Object.keys(operation.responses).map(Number);
      return {
        id: operation.operationId,
        method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']).parse(method.toUpperCase()),
        path,
        parameters: operation.parameters,
        body: operation.requestBody?.content['application/json']?.schema,
        success: Math.min(...statuses),
        statuses,
        role: operation['x-required-role'],
        scope: operation['x-required-scope'] ?? null,
      };
    }),
  );
}

/** Says what is wrong with an answer, by the document; undefined: nothing. */
export type Judge = (operation: Operation, status: number, contentType: string, body: unknown) => string | undefined;

export function createJudge(document: OpenApiDocument): Judge {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema({ $id: 'document', components: document.components });
  const validators = new Map<string, ReturnType<typeof ajv.compile>>();
  return (operation, status, contentType, body) => {
    const response = document.paths[operation.path]?.[operation.method.toLowerCase()]?.responses[status];
    if (!response) return `status ${status} is not documented`;
    if (!response.content) return body === '' ? undefined : `status ${status} is documented without a body`;
    const media = contentType.split(';')[0] ?? '';
    const schema = response.content[media]?.schema;
    if (!schema) return `${media} is not documented for status ${status}`;
    const key = `${operation.id} ${status} ${media}`;
    const validate = validators.get(key) ?? ajv.compile(withAbsoluteReferences(schema));
    validators.set(key, validate);
    return validate(body) ? undefined : ajv.errorsText(validate.errors);
  };
}

function withAbsoluteReferences(schema: JsonSchema): JsonSchema {
  const text = JSON.stringify(schema).replaceAll('"#/components/', '"document#/components/');
  return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
}

/** What a field of this name gets, where the schema alone cannot say; undefined: ask the schema. */
export type FieldValues = (name: string) => unknown;

/** A value that a schema accepts, with every field filled in. */
export function sampleOf(schema: JsonSchema, valueOf: FieldValues, name = ''): unknown {
  const given = valueOf(name);
  if (given !== undefined) return given;
  if (Array.isArray(schema['examples']) && schema['examples'].length > 0) return schema['examples'][0];
  if ('default' in schema) return schema['default'];
  if ('const' in schema) return schema['const'];
  if (Array.isArray(schema['enum'])) return schema['enum'][0];
  const branches = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(branches)) {
    const [branch] = branches.filter((candidate) => candidate.type !== 'null');
    return sampleOf(branch ?? {}, valueOf, name);
  }
  const type = [schema['type']].flat().find((candidate) => candidate !== 'null');
  switch (type) {
    case 'object':
      return sampleObject(schema, valueOf);
    case 'array':
      return [sampleOf(asSchema(schema['items']), valueOf, name)];
    case 'boolean':
      return true;
    case 'integer':
    case 'number':
      return schema['minimum'] ?? schema['exclusiveMinimum'] ?? 1;
    case 'string':
      return sampleString(schema, name);
    case 'null':
      return null;
    default:
      return 'anything';
  }
}

function sampleObject(schema: JsonSchema, valueOf: FieldValues): Record<string, unknown> {
  const properties = Object.entries(asSchema(schema['properties'] ?? {}));
  return Object.fromEntries(properties.map(([name, property]) => [name, sampleOf(asSchema(property), valueOf, name)]));
}

function sampleString(schema: JsonSchema, name: string): string {
  const byFormat: Record<string, string> = {
    uuid: '01a00000-0000-7000-8000-000000000000',
    'date-time': '2099-01-01T00:00:00Z',
    email: 'somebody@example.com',
  };
  const format = byFormat[String(schema['format'])];
  if (format !== undefined) return format;
  if (schema['pattern'] !== undefined)
    throw new Error(`${name}: give its schema an example (.meta({ examples: […] }))`);
  return 'x'.repeat(Number(schema['minLength'] ?? 1)) || 'x';
}

export function asSchema(value: unknown): JsonSchema {
  return z.record(z.string(), z.unknown()).parse(value);
}
