/** What an API's process of the tests is given. */
import type { ApiProcessOptions } from '../../../src/control/api-process/api-process.ts';
import { DEFAULT_QUOTAS } from '../../../src/control/http/rate-limit.ts';

export const API_DATA: ApiProcessOptions['data'] = {
  settings: {
    authSecret: 's'.repeat(32),
    registration: 'open',
    quotas: DEFAULT_QUOTAS,
    publicUrl: undefined,
    instanceId: 'i',
    twilio: undefined,
    callsPerSecond: 1,
    mediaPort: undefined,
  },
  databaseUrl: 'postgres://127.0.0.1/none',
  poolSize: 1,
  logLevel: 'silent',
  corsOrigins: [],
  trustedProxies: 0,
};
