/** How pino writes: secrets and telephone numbers never, whoever logs them by mistake. */
import type { LoggerOptions } from 'pino';
import { maskPhoneNumber } from './log.ts';
import type { LogFields } from './log.ts';

const SECRET_NAME = /password|secret|token|authorization|cookie|api_?key$|^key$/iu;
/** E.164, in the middle of a text too. */
const PHONE_NUMBER = /\+[1-9]\d{6,14}\b/gu;
/** Of access tokens and API keys, should one get into a message. */
const CREDENTIAL = /\bbv_live_\w+|\beyJ[\w-]+\.[\w-]+\.[\w-]+/gu;
const MAX_DEPTH = 5;

/** A text with the numbers masked and the credentials taken out. */
function redactText(text: string): string {
  return text.replaceAll(CREDENTIAL, '[redacted]').replaceAll(PHONE_NUMBER, maskPhoneNumber);
}

/** Fields of a log line: values of secret names are replaced, texts are redacted; five levels deep. */
export function redactFields(fields: LogFields): Record<string, unknown> {
  return redactObject(fields, 0);
}

function redactObject(fields: LogFields, depth: number): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      SECRET_NAME.test(name) && typeof value !== 'number' && typeof value !== 'boolean'
        ? '[redacted]'
        : redactValue(value, depth),
    ]),
  );
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value !== 'object' || value === null || depth >= MAX_DEPTH) return value;
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth + 1));
  if (value instanceof Error) return redactError(value, depth);
  // Dates, maps and the like say themselves how they are written.
  return Object.getPrototypeOf(value) === Object.prototype ? redactObject({ ...value }, depth + 1) : value;
}

/** An error as fields: what it is, what it says, where it was thrown, and what was underneath. */
function redactError(error: Error, depth: number): Record<string, unknown> {
  const { name, message, stack, cause } = error;
  const own = redactObject(Object.fromEntries(Object.entries(error)), depth + 1);
  return {
    ...own,
    type: name,
    message: redactText(message),
    stack: stack === undefined ? undefined : redactText(stack),
    ...(cause === undefined ? {} : { cause: redactValue(cause, depth + 1) }),
  };
}

/** Options for pino. */
export const LOG_OPTIONS: LoggerOptions = {
  base: null,
  formatters: { log: redactFields, bindings: redactFields },
  // Errors are fields by then.
  serializers: { err: (fields: unknown) => fields },
};
