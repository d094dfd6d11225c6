import { DrizzleQueryError } from 'drizzle-orm';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { redactFields } from '../../core/log-options.ts';
import { toDatabaseError } from './errors.ts';

/** As `pg` throws it, with everything that Postgres sends along. */
function fault(code: string, message: string, fields: Readonly<Record<string, string>> = {}): Error {
  const error = new pg.DatabaseError(message, message.length, 'error');
  return Object.assign(error, { severity: 'ERROR', code, routine: 'ExecConstraints', ...fields });
}

describe('an error of the database', () => {
  it.each([
    fault('23514', 'new row for relation "messages" violates check constraint "messages_role_check"', {
      detail: 'Failing row contains (my secret words).',
      where: "unnamed portal parameter $1 = 'my secret words'",
      internalQuery: "SELECT 'my secret words'",
      constraint: 'messages_role_check',
    }),
    fault('23505', 'duplicate key value violates unique constraint "users_email_key"', {
      detail: 'Key (email)=(my secret words) already exists.',
    }),
    fault('22P02', 'invalid input syntax for type uuid: "my secret words"', { where: 'my secret words' }),
  ])('is logged without the values that it is about: %s', (thrown) => {
    const wrapped = new DrizzleQueryError('INSERT …', ['my secret words'], thrown);
    const logged = JSON.stringify(redactFields({ err: toDatabaseError(wrapped) }));
    expect(logged).not.toContain('my secret words');
    expect(logged).toContain('ExecConstraints');
  });

  it('still says what was violated', () => {
    const thrown = fault('23514', 'new row violates a check', { constraint: 'messages_role_check', table: 'messages' });
    expect(toDatabaseError(thrown)).toMatchObject({
      code: 'invalid-value',
      message: 'The database refused a value (messages_role_check).',
      details: { sqlState: '23514', constraint: 'messages_role_check', table: 'messages' },
      cause: { message: 'new row violates a check', code: '23514' },
    });
  });
});
