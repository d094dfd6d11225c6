/** Errors as clients of the HTTP API see them: RFC 9457 problem details, with a stable code, the request's id and the fields at fault. */
import { STATUS_CODES } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import type { ErrorCode, ErrorOptions } from '../../core/errors.ts';
import { fieldFaultOf } from './field-faults.ts';
import type { FieldFault } from './field-faults.ts';

/** Which status an error is answered with. What is not listed is a fault of ours: 500, and the client learns nothing of it. */
const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  'bad-request': 400,
  unauthenticated: 401,
  'invalid-credentials': 401,
  forbidden: 403,
  'not-found': 404,
  'agent.unknown': 404,
  'method-not-allowed': 405,
  conflict: 409,
  'idempotency-in-flight': 409,
  'precondition-failed': 412,
  'too-large': 413,
  'unsupported-media-type': 415,
  'invalid-fields': 422,
  'idempotency-mismatch': 422,
  'precondition-required': 428,
  'rate-limited': 429,
  // A reference to a row that is gone, or from one that is still there.
  'reference-missing': 409,
  'invalid-value': 422,
  // The telephone's carrier does not do what was asked, or does not answer.
  'carrier-refused': 422,
  'carrier-unavailable': 503,
  capacity: 503,
  'db.unavailable': 503,
  'db.timeout': 503,
};

/** What clients are told when the database itself refused; its own words name tables and constraints. */
const IN_OTHER_WORDS: Partial<Record<ErrorCode, string>> = {
  conflict: 'It contradicts something that exists already, or another change at the same moment.',
  'reference-missing': 'It refers to something that does not exist, or is still referred to.',
  'invalid-value': 'A value cannot be stored.',
  'db.unavailable': 'The database is not available; try again in a moment.',
  'db.timeout': 'The database is busy; try again in a moment.',
};
const UNAVAILABLE_RETRY_MS = 2_000;

/** Fastify's own errors that come before a handler runs, in our words. */
const FRAMEWORK_ERRORS: ReadonlyMap<string, readonly [ErrorCode, string]> = new Map([
  ['FST_ERR_CTP_BODY_TOO_LARGE', ['too-large', 'The body is larger than this route takes.']],
  [
    'FST_ERR_CTP_INVALID_MEDIA_TYPE',
    ['unsupported-media-type', 'This route takes no body of this Content-Type; send application/json.'],
  ],
  ['FST_ERR_CTP_EMPTY_TYPE', ['unsupported-media-type', 'The Content-Type is missing; send application/json.']],
  ['FST_ERR_CTP_EMPTY_JSON_BODY', ['bad-request', 'The body is empty, but its Content-Type says that it is JSON.']],
  ['FST_ERR_CTP_INVALID_JSON_BODY', ['bad-request', 'The body is not valid JSON.']],
  ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', ['bad-request', 'The body’s length is not what Content-Length says.']],
  ['FST_ERR_BAD_URL', ['bad-request', 'The path is not a valid URL path.']],
  ['FST_ERR_MAX_PARAM_LENGTH', ['not-found', 'There is nothing with this id.']],
]);

/** The problem document, for the OpenAPI document and for tests. */
const problemSchema = z
  .object({
    type: z.string().describe('Always `about:blank`: the code says what happened.'),
    title: z.string().describe('The status in words.'),
    status: z.int().describe('The HTTP status, repeated.'),
    code: z
      .string()
      .describe('Stable, for programs.')
      .meta({ examples: ['invalid-fields'] }),
    detail: z.string().describe('What was wrong and what to do, for people.'),
    request_id: z.string().describe('Names this request in the server’s log.'),
    errors: z
      .array(
        z.object({
          in: z.enum(['body', 'query', 'path', 'header']).describe('Which part of the request is at fault.'),
          pointer: z.string().describe('JSON Pointer (RFC 6901) to the field within that part.'),
          detail: z.string().describe('What is wrong with the field.'),
        }),
      )
      .optional()
      .describe('The fields at fault, with the codes `invalid-fields` and `conflict`.'),
  })
  .meta({ id: 'Problem' });

export type Problem = z.infer<typeof problemSchema>;

export const PROBLEM_TYPE = 'application/problem+json';

/** An error about certain fields of the request, such as a value that is already taken. */
export function fieldProblem(code: ErrorCode, message: string, errors: readonly FieldFault[]): BvraiError {
  return new BvraiError(code, message, { details: { errors } });
}

/** A row that does not exist, or belongs to somebody else: the client cannot tell which. */
export function notFound(what: string): BvraiError {
  return new BvraiError('not-found', `There is no ${what} with this id.`);
}

/** Answers with a problem document. `detail` says what was wrong and what to do; never a stack trace. */
export function sendProblem(
  reply: FastifyReply,
  status: number,
  code: string,
  detail: string,
  errors?: readonly FieldFault[],
): FastifyReply {
  const body = problemBody(reply.request.id, status, code, detail, errors);
  // Serialised here: the schemas of a route describe what it answers when all is well.
  return reply
    .status(status)
    .type(PROBLEM_TYPE)
    .serializer((payload: unknown) => JSON.stringify(payload))
    .send(body);
}

export function problemBody(
  requestId: string,
  status: number,
  code: string,
  detail: string,
  errors?: readonly FieldFault[],
): Problem {
  return {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    code,
    detail,
    request_id: requestId,
    ...(errors && errors.length > 0 ? { errors: [...errors] } : {}),
  };
}

/** Anything thrown becomes a problem; faults of ours are logged and show nothing of themselves. */
export function installProblemHandlers(app: FastifyInstance): void {
  app.setErrorHandler((thrown: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const error = asProblem(thrown);
    const status = STATUS_OF[error.code];
    if (status === undefined) {
      request.log.error({ err: thrown }, 'request failed');
      return sendProblem(
        reply,
        500,
        'internal',
        'Something went wrong on our side; the log has it under this request_id.',
      );
    }
    if (status === 503) request.log.warn({ err: thrown }, 'request cannot be served now');
    if (status === 401) reply.header('www-authenticate', 'Bearer realm="bvrai"');
    const retryAfterMs = error.retryAfterMs ?? (status === 503 ? UNAVAILABLE_RETRY_MS : undefined);
    if (retryAfterMs !== undefined) reply.header('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1_000)));
    const fromDatabase = error.code.startsWith('db.') || error.details['sqlState'] !== undefined;
    const detail = (fromDatabase ? IN_OTHER_WORDS[error.code] : undefined) ?? error.message;
    const faults = faultsSchema.safeParse(error.details['errors']);
    return sendProblem(reply, status, error.code, detail, faults.data);
  });
}

const faultsSchema = z.array(
  z.object({ in: z.enum(['body', 'query', 'path', 'header']), pointer: z.string(), detail: z.string() }),
);

const frameworkError = z.object({
  code: z.string().optional(),
  statusCode: z.number().optional(),
  validationContext: z.string().optional(),
});

/** What was thrown, as our error. */
function asProblem(thrown: unknown): BvraiError {
  if (thrown instanceof BvraiError) return thrown;
  const { code, statusCode, validationContext } = frameworkError.catch({}).parse(thrown);
  if (hasZodFastifySchemaValidationErrors(thrown)) {
    // An id that is not even one cannot name anything.
    if (validationContext === 'params') return notFound('such thing');
    const errors = thrown.validation.map((issue) => fieldFaultOf(issue, validationContext));
    return fieldProblem('invalid-fields', summaryOf(errors), errors);
  }
  const known = code === undefined ? undefined : FRAMEWORK_ERRORS.get(code);
  const options: ErrorOptions = { cause: thrown };
  if (known) return new BvraiError(known[0], known[1], options);
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new BvraiError('bad-request', 'The request cannot be understood.', options);
  return BvraiError.from(thrown);
}

function summaryOf(errors: readonly FieldFault[]): string {
  const [first] = errors;
  const where = first && first.pointer !== '' ? `${first.in} ${first.pointer}: ` : '';
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more in errors)` : '';
  return `${where}${first?.detail ?? 'The request has invalid fields.'}${more}`;
}
