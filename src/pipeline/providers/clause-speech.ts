/** Speech over HTTP: one request for each clause, spoken in order, the next one asked for while the first is being said. */
import type { Timer } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import { shortestMs } from './audio-check.ts';
import type { HttpConnections, HttpRequest, HttpResponse } from './http-connections.ts';
import { charactersOf } from './counted.ts';
import { networkError, statusError } from './http.ts';
import type { VendorError } from './http.ts';
import { wrongAudio } from './raw-speech.ts';
import type { Sink, StreamContext, TtsPart, TtsStream } from './spec.ts';
import { UtteranceBook } from './utterances.ts';
import type { BookedUtterance } from './utterances.ts';

/** The clause that is being said and the one after it: more would only use up the vendor's limit on requests at a time. */
const MAX_REQUESTS = 2;
/** No clause takes longer to say; the router's deadlines for first and next byte are far shorter. */
const MAX_CLAUSE_MS = 60_000;
/** Of a refusal's body, enough for every vendor's error JSON; and how long it may take. */
const MAX_REFUSAL_BYTES = 4 * 1024;
const REFUSAL_BODY_TIMEOUT_MS = 250;

/** What a vendor's speech over HTTP is. */
export interface ClauseProtocol {
  readonly provider: string;
  /** Whom the characters are counted for. */
  readonly model: string | undefined;
  /** Throws a BvraiError when it cannot be made, e.g. because the base URL is none. */
  request(text: string): HttpRequest;
  parseRefusal(body: string): VendorError;
  /**
   * The μ-law of one response's body, piece by piece; each belongs to the receiver. Throws what the body throws, or a BvraiError
   * when that is not what was asked for. `signal`: nobody listens any more; the body fails then too.
   */
  mulaw(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

interface Clause {
  readonly utterance: BookedUtterance;
  readonly text: string;
  readonly controller: AbortController;
  /** Once it has been asked for. */
  response: Promise<HttpResponse> | undefined;
}

/**
 * Open → over: by `close` or by the context's signal. There is no connection to lose, so each failure is of one utterance:
 * its remaining clauses are dropped. To abort is to destroy the request's socket, at once.
 */
export class ClauseSpeech implements TtsStream {
  readonly #protocol: ClauseProtocol;
  readonly #connections: HttpConnections;
  readonly #sink: Sink<TtsPart>;
  readonly #context: StreamContext;
  readonly #onAbort = (): void => this.close();
  readonly #utterances: UtteranceBook<BookedUtterance>;
  /** In the order in which they are said; the first is being said. */
  #clauses: Clause[] = [];
  #saying = false;
  #over = false;

  constructor(protocol: ClauseProtocol, connections: HttpConnections, sink: Sink<TtsPart>, context: StreamContext) {
    this.#protocol = protocol;
    this.#connections = connections;
    this.#sink = sink;
    this.#context = context;
    this.#utterances = new UtteranceBook(protocol.provider, (id) => ({ id, waiting: [], finishing: false }));
    if (context.signal.aborted) this.#over = true;
    else context.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  speak(utteranceId: string, text: string): void {
    const utterance = this.#over ? undefined : this.#utterances.open(utteranceId);
    if (utterance === undefined || text.trim() === '') return;
    const error = this.#utterances.addText(utterance, text);
    if (error !== undefined) return queueMicrotask(() => this.#fail(utterance, error));
    this.#clauses.push({ utterance, text, controller: new AbortController(), response: undefined });
    this.#pump();
  }

  finish(utteranceId: string): void {
    const utterance = this.#over ? undefined : this.#utterances.open(utteranceId);
    if (utterance === undefined) return;
    utterance.finishing = true;
    // Not at once: the conversation must not find parts arriving under its feet.
    queueMicrotask(() => this.#finishIfSaid(utterance));
  }

  cancel(utteranceId: string): void {
    if (this.#over) return;
    const utterance = this.#utterances.find(utteranceId);
    if (utterance === undefined) return this.#utterances.endUnbegun(utteranceId);
    this.#end(utterance);
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#context.signal.removeEventListener('abort', this.#onAbort);
    for (const { controller } of this.#clauses) controller.abort();
    this.#clauses = [];
    this.#utterances.clear();
  }

  /** Asks for the clauses whose turn it is, and has somebody say them. */
  #pump(): void {
    for (const clause of this.#clauses.slice(0, MAX_REQUESTS)) {
      if (clause.response !== undefined) continue;
      this.#utterances.takeText(clause.utterance, 1);
      clause.response = this.#ask(clause);
      // Told when its turn comes; until then it is nobody's unhandled rejection.
      clause.response.catch(() => {});
    }
    if (this.#saying) return;
    this.#saying = true;
    this.#sayAll().catch((thrown: unknown) => {
      this.#context.log.error({ err: thrown, provider: this.#protocol.provider }, 'a clause could not be said');
    });
  }

  async #ask({ text, controller }: Clause): Promise<HttpResponse> {
    const request = this.#protocol.request(text);
    this.#connections.heed(request.url, this.#context.connecting);
    const tally = this.#context.usage?.tts(this.#protocol.provider, this.#protocol.model);
    const characters = charactersOf(text);
    if (tally) tally.characters += characters;
    let isTaken = false;
    try {
      const response = await this.#connections.post(request, controller.signal);
      isTaken = response.status === 200;
      return response;
    } finally {
      // Of one that was called off before it was answered nobody knows whether it was taken.
      if (tally && !isTaken && !controller.signal.aborted) tally.characters -= characters;
    }
  }

  async #sayAll(): Promise<void> {
    for (;;) {
      const clause = this.#clauses[0];
      if (clause?.response === undefined) {
        this.#saying = false;
        return;
      }
      const deadline = this.#context.clock.after(MAX_CLAUSE_MS, () => clause.controller.abort(tooLong(this.#protocol)));
      try {
        await this.#say(clause, await clause.response);
        if (!this.#isNext(clause)) continue;
        this.#clauses.shift();
        this.#finishIfSaid(clause.utterance);
      } catch (thrown) {
        if (!this.#isNext(clause)) continue;
        const reason: unknown = clause.controller.signal.reason;
        const error = reason instanceof BvraiError ? reason : networkError(this.#protocol.provider, thrown);
        this.#fail(clause.utterance, error);
      } finally {
        deadline.cancel();
      }
      this.#pump();
    }
  }

  /** False once it has been dropped. */
  #isNext(clause: Clause): boolean {
    return this.#clauses[0] === clause;
  }

  async #say(clause: Clause, response: HttpResponse): Promise<void> {
    if (response.status !== 200) throw await this.#refusal(response);
    let audioBytes = 0;
    for await (const audio of this.#protocol.mulaw(response.body, clause.controller.signal)) {
      if (!this.#isNext(clause)) return;
      audioBytes += audio.length;
      if (audio.length > 0) this.#sink({ type: 'audio-chunk', utteranceId: clause.utterance.id, audio });
    }
    if (audioBytes === 0 && shortestMs(clause.text) > 0) throw wrongAudio(this.#protocol.provider, 'no audio');
  }

  /** The error for a response that is not a success. */
  async #refusal({ status, header, body }: HttpResponse): Promise<BvraiError> {
    const chunks: Uint8Array[] = [];
    let receivedBytes = 0;
    let timer: Timer | undefined;
    const reading = (async (): Promise<void> => {
      for await (const chunk of body) {
        chunks.push(chunk);
        receivedBytes += chunk.length;
        if (receivedBytes >= MAX_REFUSAL_BYTES) return;
      }
    })();
    // The status says enough when the body breaks off or does not come.
    const late = new Promise<void>((resolve) => {
      timer = this.#context.clock.after(REFUSAL_BODY_TIMEOUT_MS, resolve);
    });
    await Promise.race([reading.catch(() => {}), late]);
    timer?.cancel();
    const vendor = this.#protocol.parseRefusal(Buffer.concat(chunks).toString('utf8'));
    return statusError(this.#protocol.provider, status, header, vendor);
  }

  #finishIfSaid(utterance: BookedUtterance): void {
    if (this.#over || !utterance.finishing || !this.#utterances.isLive(utterance)) return;
    if (this.#clauses.some((clause) => clause.utterance === utterance)) return;
    this.#utterances.end(utterance);
    this.#sink({ type: 'utterance-finished', utteranceId: utterance.id });
  }

  #fail(utterance: BookedUtterance, error: BvraiError): void {
    if (this.#over || !this.#utterances.isLive(utterance)) return;
    this.#end(utterance);
    this.#sink({ type: 'utterance-failed', utteranceId: utterance.id, error });
  }

  #end(utterance: BookedUtterance): void {
    this.#utterances.end(utterance);
    const [dropped, kept] = [true, false].map((own) =>
      this.#clauses.filter((clause) => (clause.utterance === utterance) === own),
    );
    this.#clauses = kept ?? [];
    for (const { controller } of dropped ?? []) controller.abort();
    this.#pump();
  }
}

function tooLong({ provider }: ClauseProtocol): BvraiError {
  return new BvraiError('provider.timeout-gap', `${provider} did not finish a clause in ${MAX_CLAUSE_MS} ms.`, {
    details: { provider, maxClauseMs: MAX_CLAUSE_MS },
  });
}
