/** How many requests may be doubled: every request earns a share of a hedge, so that an overload is not made worse. */

const SHARE = 0.05;
/** Hedges saved up in quiet times, for the moment when a provider turns slow. */
const MAX_SAVED = 10;

export class HedgeBudget {
  readonly #share: number;
  #saved = 0;

  /** `share`: hedges per request, at most. */
  constructor(share: number = SHARE) {
    this.#share = share;
  }

  /** A request is made. */
  earn(): void {
    this.#saved = Math.min(MAX_SAVED, this.#saved + this.#share);
  }

  /** Takes one hedge, if there is one. */
  take(): boolean {
    // Twenty times a twentieth is a little less than one.
    if (this.#saved < 1 - 1e-9) return false;
    this.#saved -= 1;
    return true;
  }
}
