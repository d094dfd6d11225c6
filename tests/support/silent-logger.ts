import { pino } from 'pino';
import type { Logger } from 'pino';

/** For what wants a whole pino, and nobody reads it. */
export const silentLogger = (): Logger => pino({ level: 'silent' });
