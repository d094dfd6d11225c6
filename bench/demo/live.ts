/** Prints both sides of a call as it happens: words as the server has them, moments as the ear has them. */
import { formatMs, stamp } from '../phone/live-line.ts';
import type { PhoneEvent } from '../phone/events.ts';
import type { ServerEvent } from './server-events.ts';

/** Turns events of either side into lines; it remembers nothing, so it can be fed with recorded ones. */
export class LivePrinter {
  readonly #print: (line: string) => void;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  onPhone(event: PhoneEvent): void {
    switch (event.type) {
      case 'started':
        this.#line(event.atMs, '', 'connected');
        break;
      case 'reply':
        this.#line(
          event.atMs,
          '',
          `  answer at the ear ${formatMs(event.utterance.voiceToVoiceMs)} after the question`,
        );
        break;
      case 'clear':
        this.#line(event.atMs, '', '  the agent is silenced');
        break;
      case 'underrun':
        this.#line(event.atMs, '', `  PROBLEM: playback ran dry for ${formatMs(event.durationMs)}`);
        break;
      case 'warning':
        this.#line(event.atMs, '', `  PROBLEM: Twilio warning ${event.code}, ${event.text}`);
        break;
      case 'ended':
        this.#line(event.atMs, '', `ended by the ${event.by === 'phone' ? 'caller' : 'agent'}`);
        break;
      case 'said':
      case 'dtmf':
      case 'media':
      case 'mark':
      case 'mark-echo':
      case 'agent-audible':
      case 'agent-quiet':
        break;
      default:
        event satisfies never;
    }
  }

  onServer(event: ServerEvent): void {
    const text = event.text?.trim() ?? '';
    switch (event.type) {
      case 'turn-confirmed':
        if (text) this.#line(event.at_ms, 'caller', text);
        break;
      case 'agent-clause':
        if (text) this.#line(event.at_ms, 'agent', text);
        break;
      case 'agent-said':
        if (event.interrupted)
          this.#line(event.at_ms, '', `  interrupted; heard only: "${event.heard_text?.trim() ?? ''}"`);
        break;
      case 'turn-failed':
        this.#line(
          event.at_ms,
          '',
          `  PROBLEM: no answer from ${event.stage ?? 'a stage'} (${event.code ?? 'unknown'})`,
        );
        break;
      default:
      // Everything else is detail that the report shows.
    }
  }

  #line(atMs: number, who: string, text: string): void {
    this.#print(`${stamp(atMs)}  ${who.padEnd(6)}  ${text}`);
  }
}
