import { DrizzleQueryError } from 'drizzle-orm';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { redactFields } from '../../core/log-options.ts';
import { endsSession, isAboutData, toDatabaseError } from './errors.ts';

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

  it.each(['28P01', '28000', '3D000', '57P04', '57P01', '55000', '42501', '42P01', '42703', 'XX000', 'F0000'])(
    'of SQLSTATE %s is not about the data: what was asked may be asked again',
    (sqlState) => {
      const error = toDatabaseError(fault(sqlState, 'not as it should be'));
      expect(error).toMatchObject({ code: 'db.unavailable', retryable: true });
      expect(isAboutData(error)).toBe(false);
    },
  );

  it.each(['21000', '22P02', '22001', '23502', '23503', '23505', '23514', '23P01', '54000'])(
    'of SQLSTATE %s is about the data',
    (sqlState) => {
      const error = toDatabaseError(fault(sqlState, 'no'));
      expect(error.retryable).toBe(false);
      expect(isAboutData(error)).toBe(true);
    },
  );

  it('ends a session only when that is gone or busy', () => {
    expect(['57P01', '08006', '25006', '53300'].filter((state) => !endsSession(fault(state, 'gone')))).toEqual([]);
    expect(['42P01', 'XX000', '57014', '23505'].filter((state) => endsSession(fault(state, 'only refused')))).toEqual(
      [],
    );
    expect(endsSession(Object.assign(new Error('self-signed'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }))).toBe(true);
  });
});
