import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { VARIABLES, readConfig } from './config.ts';
import { BvraiError } from './core/errors.ts';

function faultOf(environment: Record<string, string>): string {
  try {
    readConfig(environment, '/project');
  } catch (thrown) {
    if (thrown instanceof BvraiError && thrown.code === 'config.invalid') return thrown.message;
    throw thrown;
  }
  throw new Error('accepted');
}

describe('the configuration', () => {
  it('needs nothing: local mode on this machine only, port 8080, the project’s agents', () => {
    expect(readConfig({}, '/project')).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      mediaPort: undefined,
      twilio: undefined,
      deepgram: undefined,
      agentsDirectory: '/project/agents',
      dataDirectory: '/project/data',
      databaseUrl: undefined,
      hedgeShare: 0.05,
      apiQuotas: { readsPerMinute: 1_200, writesPerMinute: 300 },
    });
  });

  it('takes an empty variable for an absent one', () => {
    expect(readConfig({ PORT: '', OPENAI_API_KEY: '' }, '/project')).toMatchObject({ port: 8080, openai: undefined });
  });

  it('listens on every address once calls can be verified', () => {
    const environment = { TWILIO_AUTH_TOKEN: 'secret', PUBLIC_URL: 'https://voice.example.com/' };
    expect(readConfig(environment, '/project')).toMatchObject({
      host: '0.0.0.0',
      publicUrl: 'https://voice.example.com',
    });
  });

  it('gives the API the quotas that it is told', () => {
    const { apiQuotas } = readConfig({ API_READS_PER_MINUTE: '60000' }, '/project');
    expect(apiQuotas).toEqual({ readsPerMinute: 60_000, writesPerMinute: 300 });
  });

  it('takes a model server without a key', () => {
    expect(readConfig({ OPENAI_BASE_URL: 'http://127.0.0.1:11434/v1' }, '/project').openai?.baseUrl).toBe(
      'http://127.0.0.1:11434/v1',
    );
  });

  it.each([
    ['PORT', 'eighty', 'must be a port number', '8080'],
    ['PORT', '99999', 'at most 65535', '8080'],
    ['MEDIA_PORT', '-1', 'must be a port number', '8081'],
    ['HOST', 'a b', 'must be a host name', '0.0.0.0'],
    ['PUBLIC_URL', 'voice.example.com', 'must be an http(s) URL', 'https://voice.example.com'],
    ['PUBLIC_URL', 'https://voice.example.com/path', 'without a path', 'https://voice.example.com'],
    ['LOG_LEVEL', 'loud', 'must be one of', 'info'],
    ['HEDGE_SHARE', '5%', 'a share from 0 to 0.5', '0.05'],
    ['HEDGE_SHARE', '0.6', 'a share from 0 to 0.5', '0.05'],
    ['TWILIO_ACCOUNT_SID', 'AC1', '32 hex digits', 'AC0000'],
    ['TWILIO_CALLS_PER_SECOND', '0', 'a number from 0.01 to 500', '1'],
    ['TWILIO_CALLS_PER_SECOND', '1e3', 'a number from 0.01 to 500', '1'],
    ['MAX_CALLS_PER_ORGANIZATION', '0', 'a number from 1 to 99999', '50'],
    ['DEEPGRAM_BASE_URL', 'ftp://x', 'must be an http(s) URL', 'https://api.deepgram.com'],
    ['CORS_ORIGINS', '*', 'must be origins', 'https://app.example.com'],
    ['CORS_ORIGINS', 'https://app.example.com/path', 'must be origins', 'https://app.example.com'],
    ['TRUSTED_PROXIES', 'all', 'from 0 to 9', '1'],
    ['REGISTRATION', 'no', 'must be one of open, closed', 'closed'],
    ['API_READS_PER_MINUTE', '0', 'a number from 1 to 9999999', '1200'],
    ['API_WRITES_PER_MINUTE', 'many', 'a number from 1 to 9999999', '300'],
    ['OPENAI_BASE_URL', 'nowhere', 'must be an http(s) URL', 'https://api.openai.com/v1'],
  ])('refuses %s=%s: names it, its fault and an example', (name, value, fault, example) => {
    const message = faultOf({ [name]: value });
    expect(message).toContain(`${name}=${JSON.stringify(value)}`);
    expect(message).toContain(fault);
    expect(message).toContain(`example: ${example}`);
  });

  it('names every variable at fault at once, and shows no secret', () => {
    const message = faultOf({ PORT: 'x', DEEPGRAM_API_KEY: 'se cret', LOG_LEVEL: 'y', AUTH_SECRET: 'too-short' });
    expect(message).not.toContain('too-short');
    expect(message).toMatch(/PORT[\s\S]*LOG_LEVEL[\s\S]*DEEPGRAM_API_KEY/u);
    expect(message).not.toContain('se cret');
  });

  it('refuses a token without the URL that Twilio signs for', () => {
    expect(faultOf({ TWILIO_AUTH_TOKEN: 'secret' })).toContain('PUBLIC_URL is missing');
  });

  it('is documented: .env.example and docs/production.md name every variable, and no other', () => {
    const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
    const offered = [...read('.env.example').matchAll(/^([A-Z_]+)=/gmu)].map(([, name = '']) => name);
    expect(offered.sort()).toEqual([...VARIABLES].sort());
    const [, table = ''] = read('docs/production.md').split('\n## Settings\n');
    const cells = table.split('\n').map((row) => row.split('|')[1] ?? '');
    const described = cells.flatMap((cell) => Array.from(cell.matchAll(/`([A-Z_]+)`/gu), ([, name = '']) => name));
    expect(described.sort()).toEqual([...VARIABLES].sort());
  });
});
