/** Validation of what a handler puts together itself, answered like that of the body. */
import type { z } from 'zod';
import { fieldFaultOf } from './field-faults.ts';
import { fieldProblem } from './problem.ts';

/** Throws `invalid-fields` with pointers into the body. */
export function parseFields<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map(({ code, path, message, ...rest }) =>
    fieldFaultOf(
      { keyword: code, instancePath: path.map((part) => `/${String(part)}`).join(''), message, params: rest },
      'body',
    ),
  );
  const [first] = errors;
  throw fieldProblem('invalid-fields', `body ${first?.pointer ?? ''}: ${first?.detail ?? 'is invalid'}`, errors);
}
