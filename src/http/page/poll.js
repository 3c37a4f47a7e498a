// Asks again and again while somebody looks: less often while nobody answers, and not at all while the page is hidden.

const EVERY_MS = 5_000;
const AT_MOST_MS = 60_000;
/** What an answer may take before it counts as none. */
const PATIENCE_MS = 10_000;

export class Poll {
  #ask;
  #tell;
  #timer;
  #failures = 0;
  #asking;

  /**
   * `ask(signal)` shows what it gets, or rejects. `tell` hears how it went: `{}`, or `{ error, nextMs }` with the time of the next
   * attempt; where `error.wants` a token there is none.
   */
  constructor(ask, tell) {
    this.#ask = ask;
    this.#tell = tell;
    document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(this.#timer) : this.now()));
  }

  /** Asks at once, whatever else was planned or is under way. */
  now() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#run();
  }

  async #run() {
    const asking = (this.#asking = new AbortController());
    const patience = setTimeout(() => asking.abort(), PATIENCE_MS);
    let error;
    try {
      await this.#ask(asking.signal);
    } catch (failure) {
      error = failure;
    }
    clearTimeout(patience);
    // Another has begun meanwhile, and tells.
    if (asking !== this.#asking) return;
    this.#failures = error ? this.#failures + 1 : 0;
    if (error?.wants) return this.#tell({ error });
    const wait = Math.min(AT_MOST_MS, EVERY_MS * 2 ** this.#failures);
    this.#tell(error ? { error, nextMs: Date.now() + wait } : {});
    if (!document.hidden) this.#timer = setTimeout(() => this.#run(), wait);
  }
}

/** What is older was not asked for again as it should have been. */
export const OLD_MS = 3 * EVERY_MS;
