import { expect, it } from 'vitest';
import { Closers } from './closers.ts';

it('closes the newest first, all of them though some fail, and tells the first error', async () => {
  const closers = new Closers();
  const closed: string[] = [];
  const close = (name: string, error?: Error) => async (): Promise<void> => {
    await Promise.resolve();
    closed.push(name);
    if (error) throw error;
  };
  closers.add(close('records'));
  closers.add(close('engines', new Error('of the engines')));
  closers.add(() => {
    throw new Error('of the listener');
  });
  closers.add(close('calls'));
  await expect(closers.close()).rejects.toThrow('of the listener');
  expect(closed).toEqual(['calls', 'engines', 'records']);
  await closers.close();
  expect(closed).toHaveLength(3);
});
