/** Is the process alive, can it take calls, and what has it been doing. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';

export interface HealthDependencies {
  /** Each part that calls need, and whether it is ready. */
  readonly readiness: () => Readonly<Record<string, boolean>>;
  /** Prometheus text and its content type. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
}

const readySchema = z
  .object({
    status: z.enum(['ok', 'unavailable']),
    parts: z.record(z.string(), z.boolean()).describe('Each part that calls need, and whether it is ready.'),
  })
  .meta({ id: 'Readiness' });

export function healthRoutes(app: FastifyInstance, { readiness, metrics }: HealthDependencies): void {
  const typed = app.withTypeProvider<ZodTypeProvider>();
  const tags = ['health'];
  typed.get(
    '/health/live',
    {
      schema: {
        operationId: 'getLiveness',
        tags,
        summary: 'Whether the process answers',
        response: { 200: z.object({ status: z.literal('ok') }) },
      },
    },
    () => ({ status: 'ok' as const }),
  );
  typed.get(
    '/health/ready',
    {
      schema: {
        operationId: 'getReadiness',
        tags,
        summary: 'Whether it can take calls, and if not, which part is not ready',
        response: { 200: readySchema, 503: readySchema },
      },
    },
    async (_request, reply) => {
      const parts = readiness();
      const ready = Object.values(parts).every(Boolean);
      return reply.status(ready ? 200 : 503).send({ status: ready ? 'ok' : 'unavailable', parts });
    },
  );
  app.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await metrics();
    return reply.type(contentType).send(text);
  });
}
