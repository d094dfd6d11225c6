/** The OpenAPI 3.1 document, made from the routes themselves: their zod schemas, and what they declare in `config`. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Access } from '../auth/access.ts';
import { PROBLEM_TYPE } from './problem.ts';

const DESCRIPTION = `Manages voice agents and reads the records of their calls.

**Conventions.** JSON in snake_case. Errors are problem documents (RFC 9457) with a stable \`code\`, and \`errors\` that point at the
fields. Lists are paged: pass \`next_cursor\` as \`cursor\`. A POST that creates something takes an \`Idempotency-Key\`: repeated with
the same body within 24 hours it answers the same and does nothing more. \`RateLimit\` says what is left of a quota.

**Who calls.** Everything but log-in needs \`Authorization: Bearer …\` with an access token (15 minutes; refresh it) or an API key. What
belongs to another organization does not exist: 404.`;

const TAGS = [
  { name: 'auth', description: 'Accounts, log-in and sessions.' },
  { name: 'organizations', description: 'Organizations, their members and invitations.' },
  { name: 'api-keys', description: 'Keys for programs.' },
  {
    name: 'agents',
    description: 'What answers calls: prompt, voice, providers, manners; every change is kept as a version.',
  },
  { name: 'voice-configurations', description: 'Voices with their settings, to be used by agents.' },
  { name: 'phone-numbers', description: 'Which agent answers which number.' },
  { name: 'calls', description: 'Calls and what was said in them.' },
  { name: 'audit-log', description: 'Who changed what, and when.' },
  { name: 'health', description: 'For load balancers and people on call.' },
];

/** Problems by status, as the document describes them. */
const PROBLEMS: Readonly<Record<number, string>> = {
  400: 'The request cannot be understood.',
  401: 'No valid credentials.',
  403: 'The credentials do not allow this.',
  404: 'There is no such thing in this organization.',
  409: 'It contradicts the present state, or a request with this Idempotency-Key is still being answered.',
  412: 'It has changed since it was read.',
  413: 'The body is too large.',
  415: 'The body is not JSON.',
  422: 'Fields are invalid, or this Idempotency-Key came with another body before.',
  428: 'If-Match is missing.',
  429: 'Too many requests.',
  503: 'A part that this needs is not available, or busy; try again.',
};

/** To be called before any route is declared. Serves `/openapi.json`, and `/docs` for people. */
export async function installOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'bvrai', version, description: DESCRIPTION },
      tags: TAGS,
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'An access token, or an API key (`bv_live_…`).' },
          cookie: { type: 'apiKey', in: 'cookie', name: '__Host-bvrai_access' },
        },
      },
    },
    transform: ({ schema, url, route, ...document }) => {
      // Twilio's webhooks, metrics and pages are not for clients of the API: the first need Twilio's signature, and speak forms and
      // TwiML. docs/production.md tells of them.
      if (schema?.operationId === undefined) return { schema: { hide: true }, url };
      const transformed = jsonSchemaTransform({ schema, url, route, ...document });
      return { ...transformed, schema: withConventions(transformed.schema, route) };
    },
    transformObject: (document) => withoutUnused(jsonSchemaTransformObject(document)),
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    // Its page sets inline styles; scripts come from here only.
    staticCSP:
      "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; frame-ancestors 'none'",
    uiConfig: { docExpansion: 'list', persistAuthorization: false },
  });
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
}

/** What every route of its kind has, so that no route need say it. */
function withConventions(schema: FastifySchema, route: RouteOptions): FastifySchema {
  const config = route.config ?? {};
  const statuses = problemStatuses(route);
  const problems = Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: PROBLEMS[status],
        content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  );
  return {
    ...schema,
    ...(headersOf(route) ? { headers: headersOf(route) } : {}),
    ...(config.deprecated ? { deprecated: true } : {}),
    security: config.access === undefined || config.access === 'public' ? [] : [{ bearer: [] }, { cookie: [] }],
    ...accessExtensions(config.access),
    response: { ...successesOf(schema, route), ...problems },
  };
}

/** Answers when all is well, each with a description: its own, or one drawn from the operation's summary. */
function successesOf({ response, summary = '' }: FastifySchema, { method }: RouteOptions): Record<string, unknown> {
  const described = Object.entries(objectOf(response)).map(([status, schema]) => {
    const { description, content } = objectOf(schema);
    if (description !== undefined) return [status, schema] as const;
    const outcome = `${summary}: ${outcomeOf(Number(status), method === 'GET', summary)}`;
    return [status, { description: outcome, content: content ?? { 'application/json': { schema } } }] as const;
  });
  return Object.fromEntries(described);
}

function outcomeOf(status: number, isRead: boolean, summary: string): string {
  if (status >= 400) return 'the answer is no, and why.';
  if (status === 201) return 'it has been made.';
  if (!isRead) return 'done, and this is how it is now.';
  return summary.startsWith('List ') ? 'one page of them.' : 'as it is now.';
}

function problemStatuses(route: RouteOptions): number[] {
  const { schema, config = {}, url } = route;
  const guarded = config.access !== undefined && config.access !== 'public';
  const always = url.startsWith('/api/') ? [400, 429, 503] : [];
  return [
    ...always,
    // Logging in answers 401 as well, and refuses a cookie of a foreign origin.
    ...(guarded || url.startsWith('/api/v1/auth/') ? [401, 403] : []),
    ...(schema?.params === undefined ? [] : [404]),
    ...(schema?.body === undefined ? [] : [404, 409, 413, 415]),
    ...(schema?.body === undefined && schema?.querystring === undefined ? [] : [422]),
    ...(config.idempotent === true ? [409, 422] : []),
    ...(route.method === 'DELETE' ? [409] : []),
    ...(config.ifMatch === undefined ? [] : [412]),
    ...(config.ifMatch === 'required' ? [428] : []),
  ];
}

function headersOf({ config = {} }: RouteOptions): object | undefined {
  const properties = {
    ...(config.idempotent === true
      ? {
          'idempotency-key': {
            type: 'string',
            minLength: 1,
            maxLength: 200,
            description:
              'Names this request: repeated within 24 hours by the same person or API key, with the same body, it answers the same and ' +
              'does nothing more.',
          },
        }
      : {}),
    ...(config.ifMatch === undefined
      ? {}
      : { 'if-match': { type: 'string', maxLength: 500, description: 'The ETag that you have read, or `*`.' } }),
  };
  if (Object.keys(properties).length === 0) return undefined;
  return { type: 'object', properties, required: config.ifMatch === 'required' ? ['if-match'] : [] };
}

/** Role and scope, where people and the generated tests find them. */
function accessExtensions(access: Access | undefined): Record<string, unknown> {
  if (access === undefined || access === 'public') return {};
  return { 'x-required-role': access.role, 'x-required-scope': access.scope };
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

const documentParts = z.object({
  paths: z.unknown(),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()).default({}) }).prefault({}),
});

/** Every registered schema comes as input and as output; those that no operation mentions are left out. */
function withoutUnused<Document extends object>(document: Document): Document {
  const { paths, components } = documentParts.parse(document);
  const used = new Set<string>();
  const visit = (value: unknown): void => {
    const names = [...JSON.stringify(value ?? null).matchAll(/"#\/components\/schemas\/([^"]+)"/gu)].map(
      ([, name]) => name,
    );
    for (const name of names) {
      if (name === undefined || used.has(name)) continue;
      used.add(name);
      visit(components.schemas[name]);
    }
  };
  visit(paths);
  const schemas = Object.entries(components.schemas).filter(([name]) => used.has(name));
  return { ...document, components: { ...components, schemas: Object.fromEntries(schemas) } };
}
