/** Errors as clients of the HTTP API see them: RFC 9457 problem details, with a stable code and the request's id. */
import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Answers with a problem document. `detail` says what was wrong and what to do; never a stack trace. */
export function sendProblem(reply: FastifyReply, status: number, code: string, detail: string): FastifyReply {
  return reply
    .status(status)
    .type('application/problem+json')
    .send({
      type: 'about:blank',
      title: STATUS_CODES[status] ?? 'Error',
      status,
      code,
      detail,
      request_id: reply.request.id,
    });
}

/** Unknown routes and anything thrown become problems; faults of ours are logged and show nothing of themselves. */
export function installProblemHandlers(app: FastifyInstance): void {
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, 404, 'not-found', `There is no ${request.method} ${request.url.split('?')[0]} here.`),
  );
  app.setErrorHandler((error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
    const status = error.statusCode ?? 500;
    if (status < 500) return sendProblem(reply, status, error.code ?? 'bad-request', error.message);
    request.log.error({ err: error }, 'request failed');
    return sendProblem(
      reply,
      500,
      'internal',
      'Something went wrong on our side; the log has it under this request_id.',
    );
  });
}
