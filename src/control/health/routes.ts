/** Is the process alive, can it take calls, and what has it been doing. */
import type { FastifyInstance } from 'fastify';

export interface HealthDependencies {
  /** Each part that calls need, and whether it is ready. */
  readonly readiness: () => Readonly<Record<string, boolean>>;
  /** Prometheus text and its content type. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
}

export function healthRoutes(app: FastifyInstance, { readiness, metrics }: HealthDependencies): void {
  app.get('/health/live', () => ({ status: 'ok' }));
  app.get('/health/ready', async (_request, reply) => {
    const parts = readiness();
    const ready = Object.values(parts).every(Boolean);
    return reply.status(ready ? 200 : 503).send({ status: ready ? 'ok' : 'unavailable', parts });
  });
  app.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await metrics();
    return reply.type(contentType).send(text);
  });
}
