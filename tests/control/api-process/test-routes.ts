/** Routes that say who answers, and what is known of who asks. */
import type { FastifyInstance } from 'fastify';

/** What every answer says. */
export interface Seen {
  /** Which process. */
  readonly by: string;
  readonly ip: string;
  readonly host: string;
  readonly protocol: string;
  readonly bytes: number;
}

export function addTestRoutes(app: FastifyInstance, under: string, by: string): void {
  app.all(`${under}/seen`, (request): Seen => {
    const { ip, host, protocol, body } = request;
    return { by, ip, host, protocol, bytes: JSON.stringify(body ?? '').length };
  });
  app.get(`${under}/silence`, () => new Promise(() => {}));
  app.get(`${under}/slow`, () => new Promise((resolve) => setTimeout(resolve, 300, { by })));
}
