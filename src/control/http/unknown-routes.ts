/** What to say where there is no route: 404, or 405 with the methods that there are. */
import type { FastifyInstance } from 'fastify';
import { sendProblem } from './problem.ts';

/** To be called before any route is declared, since it listens for them. */
export function installUnknownRouteHandler(app: FastifyInstance): void {
  const routes = new Map<string, { readonly pattern: RegExp; readonly methods: Set<string> }>();
  app.addHook('onRoute', ({ url, method }) => {
    const route = routes.get(url) ?? { pattern: patternOf(url), methods: new Set<string>() };
    for (const name of [method].flat()) route.methods.add(name);
    routes.set(url, route);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? '';
    const allowed = [...routes.values()].find(({ pattern }) => pattern.test(path))?.methods;
    if (!allowed) return sendProblem(reply, 404, 'not-found', `There is no ${request.method} ${path} here.`);
    const list = [...allowed].sort().join(', ');
    reply.header('allow', list);
    return sendProblem(reply, 405, 'method-not-allowed', `${path} takes ${list}, not ${request.method}.`);
  });
}

function patternOf(url: string): RegExp {
  const source = url
    .split('/')
    .map((part) => (part.startsWith(':') ? '[^/]+' : part.replaceAll(/[.*+?^${}()|[\]\\]/gu, String.raw`\$&`)))
    .join('/');
  return new RegExp(`^${source}$`, 'u');
}
