/** The few requests that we make of Twilio's REST API. */
import { request } from 'undici';
import VoiceResponse from 'twilio/lib/twiml/VoiceResponse.js';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';

export interface TwilioRestOptions {
  readonly accountSid: string;
  readonly authToken: string;
  readonly baseUrl: string;
  /** Where Twilio reaches this server. */
  readonly publicUrl: string;
}

export interface DialRequest {
  readonly id: string;
  readonly orgId: string;
  readonly from: string;
  readonly to: string;
  readonly machineDetection: 'Enable' | 'DetectMessageEnd' | undefined;
  readonly ringTimeoutS: number;
}

const DEADLINE_MS = 10_000;
const created = z.object({ sid: z.string() });
const refusal = z.object({ code: z.number().optional(), message: z.string().optional() });

/** Throws `provider.…`; a refusal's message is Twilio's own. */
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

  async #post(path: string, fields: URLSearchParams): Promise<unknown> {
    const { accountSid, authToken, baseUrl } = this.#options;
    const answer = await request(`${baseUrl}/2010-04-01/Accounts/${accountSid}/${path}`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: fields.toString(),
      signal: AbortSignal.timeout(DEADLINE_MS),
    }).catch((thrown: unknown) => {
      throw BvraiError.from(
        thrown instanceof Error ? new Error(thrown.message) : thrown,
        'provider.unavailable',
        'Twilio cannot be reached',
      );
    });
    const body: unknown = await answer.body.json().catch(() => undefined);
    if (answer.statusCode < 300) return body;
    const { code, message } = refusal.catch({}).parse(body);
    throw new BvraiError(
      answer.statusCode >= 500 || answer.statusCode === 429 ? 'provider.unavailable' : 'provider.bad-request',
      `Twilio refused (${answer.statusCode}${code === undefined ? '' : `, error ${code}`}): ${message ?? 'no reason given'}`,
      { details: { status: answer.statusCode, twilioCode: code } },
    );
  }
}
