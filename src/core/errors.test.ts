import { describe, expect, it } from 'vitest';
import { BvraiError } from './errors.ts';

describe('errors', () => {
  it('pass through normalisation unchanged when they are ours', () => {
    const error = new BvraiError('provider.auth', 'The key is wrong.');
    expect(BvraiError.from(error, 'internal')).toBe(error);
  });

  it('keep what was thrown as their cause, and say where it was', () => {
    const cause = new TypeError('x is not y');
    expect(BvraiError.from(cause, 'wire.malformed', 'Message 3')).toMatchObject({
      code: 'wire.malformed',
      message: 'Message 3: x is not y',
      cause,
    });
    expect(BvraiError.from('text')).toMatchObject({ code: 'internal', message: 'text' });
  });

  it('know an abort from a failure', () => {
    expect(BvraiError.from(new DOMException('gone', 'AbortError'), 'provider.closed')).toMatchObject({
      code: 'aborted',
      retryable: false,
    });
  });

  it('say whether trying elsewhere can help', () => {
    expect(new BvraiError('provider.overloaded', '').retryable).toBe(true);
    expect(new BvraiError('provider.bad-request', '').retryable).toBe(false);
  });
});
