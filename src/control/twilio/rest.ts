/** The few requests that we make of Twilio's REST API. */
import { request } from 'undici';
import VoiceResponse from 'twilio/lib/twiml/VoiceResponse.js';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';

export interface TwilioRestOptions {
  readonly accountSid: string;
  readonly authToken: string;
  readonly baseUrl: string;
  /** Where Twilio reaches this server. */
  readonly publicUrl: string;
  /** For a request. Default 10 s. */
  readonly deadlineMs?: number;
}

export interface DialRequest {
  readonly id: string;
  readonly orgId: string;
  readonly from: string;
  readonly to: string;
  readonly machineDetection: 'Enable' | 'DetectMessageEnd' | undefined;
  readonly ringTimeoutS: number;
}

const DEFAULT_DEADLINE_MS = 10_000;
const created = z.object({ sid: z.string() });
const known = z.object({ status: z.string() });
const numbers = z.object({ incoming_phone_numbers: z.array(z.object({ phone_number: z.string() })) });
const refusal = z.object({ code: z.number().optional(), message: z.string().optional() });

/**
 * Throws `provider.bad-request` with Twilio's own words (`details.twilioCode`: its number for them) when it refuses, and otherwise
 * `provider.auth`, `provider.timeout-first` or `provider.unavailable`. Nothing is tried twice: a call could be rung twice.
 */
export class TwilioRest {
  readonly #options: TwilioRestOptions;

  constructor(options: TwilioRestOptions) {
    this.#options = options;
  }

  /** Rings a number; the call's sid. */
  async dial({ id, orgId, from, to, machineDetection, ringTimeoutS }: DialRequest): Promise<string> {
    const own = (path: string): string => `${this.#options.publicUrl}${path}?call=${id}&org=${orgId}`;
    const fields = new URLSearchParams({
      To: to,
      From: from,
      Url: own('/twilio/voice'),
      StatusCallback: own('/twilio/status'),
      Timeout: String(ringTimeoutS),
    });
    for (const event of ['initiated', 'ringing', 'answered', 'completed']) fields.append('StatusCallbackEvent', event);
    if (machineDetection) {
      fields.set('MachineDetection', machineDetection);
      // The conversation begins at once; what was heard is told later.
      fields.set('AsyncAmd', 'true');
      fields.set('AsyncAmdStatusCallback', own('/twilio/amd'));
    }
    return created.parse(await this.#post('Calls.json', fields)).sid;
  }

  /** CallStatus in Twilio's words, such as `queued`; undefined: it knows no such call. */
  async callStatus(callSid: string): Promise<string | undefined> {
    try {
      return known.parse(await this.#ask('GET', `Calls/${callSid}.json`)).status;
    } catch (thrown) {
      if (thrown instanceof BvraiError && thrown.details['status'] === 404) return undefined;
      throw thrown;
    }
  }

  /** Whether the account has this number (E.164). */
  async hasNumber(number: string): Promise<boolean> {
    // It finds parts of numbers, too.
    const query = new URLSearchParams({ PhoneNumber: number, PageSize: '50' });
    const found = numbers.parse(await this.#ask('GET', `IncomingPhoneNumbers.json?${query.toString()}`));
    return found.incoming_phone_numbers.some(({ phone_number: each }) => each === number);
  }

  /** Ends a call, whether it rings or has been answered. */
  async hangUp(callSid: string): Promise<void> {
    await this.#post(`Calls/${callSid}.json`, new URLSearchParams({ Status: 'completed' }));
  }

  /** Connects the caller to another number; the media stream ends by that. */
  async transfer(callSid: string, to: string): Promise<void> {
    const response = new VoiceResponse();
    response.dial({ answerOnBridge: true }).number(to);
    await this.#post(`Calls/${callSid}.json`, new URLSearchParams({ Twiml: response.toString() }));
  }

  #post(path: string, fields: URLSearchParams): Promise<unknown> {
    return this.#ask('POST', path, fields);
  }

  async #ask(method: 'GET' | 'POST', path: string, fields?: URLSearchParams): Promise<unknown> {
    const { accountSid, authToken, baseUrl, deadlineMs = DEFAULT_DEADLINE_MS } = this.#options;
    const answer = await request(`${baseUrl}/2010-04-01/Accounts/${accountSid}/${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString('base64')}`,
        ...(fields && { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ...(fields && { body: fields.toString() }),
      signal: AbortSignal.timeout(deadlineMs),
    }).catch((thrown: unknown) => {
      if (thrown instanceof Error && thrown.name === 'TimeoutError')
        throw new BvraiError('provider.timeout-first', `Twilio has not answered within ${deadlineMs} ms.`);
      throw BvraiError.from(thrown, 'provider.unavailable', 'Twilio cannot be reached');
    });
    const body: unknown = await answer.body.json().catch(() => undefined);
    if (answer.statusCode < 300) return body;
    const { code, message } = refusal.catch({}).parse(body);
    throw new BvraiError(
      errorCodeOf(answer.statusCode),
      `Twilio refused (${answer.statusCode}${code === undefined ? '' : `, error ${code}`}): ${message ?? 'no reason given'}`,
      { details: { status: answer.statusCode, twilioCode: code } },
    );
  }
}

function errorCodeOf(status: number): ErrorCode {
  if (status >= 500 || status === 429) return 'provider.unavailable';
  return status === 401 ? 'provider.auth' : 'provider.bad-request';
}
