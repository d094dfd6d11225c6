/** What clients are told when the telephone's carrier does not do what was asked. */
import { BvraiError } from '../../core/errors.ts';
import type { FieldFault } from '../http/field-faults.ts';

/** Twilio's errors that are the fault of one field of ours, from its error dictionary. */
const FIELD_AT_FAULT: Readonly<Record<number, string>> = {
  21210: '/from',
  21211: '/to',
  21212: '/from',
  21214: '/to',
  21217: '/to',
};

/**
 * `carrier-refused`, with the field at fault if it is one of `fields`, when asking again is useless; `carrier-unavailable`
 * otherwise. The message is the carrier's own, with its error number.
 */
export function carrierProblem(thrown: unknown, fields: readonly string[] = []): BvraiError {
  const error = BvraiError.from(thrown, 'provider.unavailable');
  const { message, code, details } = error;
  if (code === 'provider.auth')
    return new BvraiError('carrier-unavailable', 'The carrier does not accept the credentials of this server.', {
      cause: thrown,
    });
  if (code !== 'provider.bad-request') return new BvraiError('carrier-unavailable', message, { cause: thrown });
  const pointer = FIELD_AT_FAULT[Number(details['twilioCode'])];
  const errors: FieldFault[] =
    pointer !== undefined && fields.includes(pointer) ? [{ in: 'body', pointer, detail: message }] : [];
  return new BvraiError('carrier-refused', message, { cause: thrown, details: { errors } });
}
