/** A desk that a test does not need. */
import type { ApiDesk } from '../../../src/control/calls/api-desk.ts';

const notAsked = (): Promise<never> => Promise.reject(new Error('not asked'));

/** All of whose methods reject, but for those of `methods`. */
export const deskWith = (methods: Partial<ApiDesk> = {}): ApiDesk => ({
  check: notAsked,
  ring: notAsked,
  endRinging: notAsked,
  expect: notAsked,
  watch: notAsked,
  hangUp: notAsked,
  say: notAsked,
  transfer: notAsked,
  ...methods,
});
