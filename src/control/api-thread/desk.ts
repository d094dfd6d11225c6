/** The desk of the main thread's calls, as the API's thread has it: each method is a question and its answer. */
import { BvraiError } from '../../core/errors.ts';
import type { ApiDesk } from '../calls/api-desk.ts';
import { fromFault } from './protocol.ts';
import type { DeskFault, DeskQuestion } from './protocol.ts';

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** Longer than whatever the desk itself waits for, Twilio above all. */
const ANSWER_TIMEOUT_MS = 30_000;

/** In the API's thread. */
export class RemoteDesk {
  readonly #ask: (id: number, question: DeskQuestion) => void;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;

  constructor(ask: (id: number, question: DeskQuestion) => void) {
    this.#ask = ask;
  }

  readonly desk: ApiDesk = {
    check: (...args) => this.#call({ method: 'check', args }),
    ring: (...args) => this.#call({ method: 'ring', args }),
    endRinging: (...args) => this.#call({ method: 'endRinging', args }),
    expect: (...args) => this.#call({ method: 'expect', args }),
    watch: (...args) => this.#call({ method: 'watch', args }),
    hangUp: (...args) => this.#call({ method: 'hangUp', args }),
    say: (...args) => this.#call({ method: 'say', args }),
    transfer: (...args) => this.#call({ method: 'transfer', args }),
  };

  answer(id: number, value: unknown): void {
    this.#take(id)?.resolve(value);
  }

  fail(id: number, fault: DeskFault): void {
    this.#take(id)?.reject(fromFault(fault));
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(pending?.timer);
    return pending;
  }

  /** Both threads are of one build, so what `perform` resolves with is what the method promises. */
  #call<Value>(question: DeskQuestion): Promise<Value> {
    return new Promise<unknown>((resolve, reject) => {
      const id = this.#nextId++;
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new BvraiError('internal', `The calls did not answer '${question.method}' in ${ANSWER_TIMEOUT_MS} ms.`));
      }, ANSWER_TIMEOUT_MS);
      this.#pending.set(id, { resolve, reject, timer });
      this.#ask(id, question);
    }) as Promise<Value>;
  }
}

/** In the main thread. */
export function perform(desk: ApiDesk, question: DeskQuestion): Promise<unknown> {
  switch (question.method) {
    case 'check':
      return desk.check(...question.args);
    case 'ring':
      return desk.ring(...question.args);
    case 'endRinging':
      return desk.endRinging(...question.args);
    case 'expect':
      return desk.expect(...question.args);
    case 'watch':
      return desk.watch(...question.args);
    case 'hangUp':
      return desk.hangUp(...question.args);
    case 'say':
      return desk.say(...question.args);
    case 'transfer':
      return desk.transfer(...question.args);
  }
}
