import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { LOG_OPTIONS } from './log-options.ts';

function written(fields: object): string {
  let line = '';
  const log = pino({ level: 'info', ...LOG_OPTIONS }, { write: (text: string) => (line += text) });
  log.info(fields, 'something');
  return line;
}

describe('a log line', () => {
  it.each([
    [{ password: 'hunter22' }, 'hunter22'],
    [{ headers: { authorization: 'Bearer abc', cookie: 'a=b' } }, 'Bearer abc'],
    [{ request: { body: { refresh_token: 'r-t' } } }, 'r-t'],
    [{ apiKey: 'sk-1' }, 'sk-1'],
    [{ from: '+15550199' }, '+15550199'],
    [{ note: 'call to +4930123456 failed' }, '4930123456'],
    [{ numbers: ['+15550199'] }, '+15550199'],
    [{ err: new Error('no route to +15550199', { cause: new Error('key bv_live_abc_def') }) }, '+15550199'],
    [{ err: new Error('failed', { cause: new Error('key bv_live_abc_def') }) }, 'bv_live_abc_def'],
  ])('shows no secret and no whole number: %j', (fields, secret) => {
    expect(written(fields)).not.toContain(secret);
  });

  it('shows everything else as it is, errors with their stack and causes', () => {
    const line = written({
      tokens: 12,
      at: new Date(0),
      err: new Error('outer', { cause: new Error('inner') }),
    });
    expect(JSON.parse(line)).toMatchObject({
      tokens: 12,
      at: '1970-01-01T00:00:00.000Z',
      err: {
        type: 'Error',
        message: 'outer',
        stack: expect.stringContaining('log-options.test'),
        cause: { message: 'inner' },
      },
      msg: 'something',
    });
  });
});
