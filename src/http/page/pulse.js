// Says how old what is shown is. What is old never looks fresh.

import { byId, say } from './dom.js';
import { stretch, time } from './format.js';
import { OLD_MS } from './poll.js';

const WORDS = { waiting: 'Asking…', live: 'Live', old: 'Old', locked: 'Locked' };

function trouble(error) {
  if (error.isOurs) return 'This page cannot show what the service answers. Reload it: the service may be a newer one.';
  return error.status ? `The service answers with an error: ${error.message} (${error.status}).` : 'The service does not answer.';
}

export class Pulse {
  #last;
  #outcome = {};

  constructor(again) {
    byId('trouble-now').addEventListener('click', again);
    setInterval(() => this.#show(), 1_000);
    document.addEventListener('visibilitychange', () => this.#show());
  }

  /** Takes down how an attempt went, as `Poll` tells it. */
  heard(outcome) {
    this.#outcome = outcome;
    if (!outcome.error) this.#last = Date.now();
    if (outcome.error?.wants) this.#last = undefined;
    this.#show();
  }

  #state() {
    const { error } = this.#outcome;
    if (error) return error.wants ? 'locked' : 'old';
    if (!this.#last) return 'waiting';
    // A page that was hidden, or a machine that slept.
    return Date.now() - this.#last > OLD_MS ? 'old' : 'live';
  }

  #show() {
    const state = this.#state();
    const { error, nextMs } = this.#outcome;
    const age = this.#last && stretch((Date.now() - this.#last) / 1_000);
    byId('pulse').dataset.state = state;
    document.body.dataset.state = state;
    say(byId('pulse-word'), state === 'old' && !this.#last ? 'No answer' : WORDS[state]);
    say(byId('pulse-age'), age ? `updated ${age === '0 s' ? 'just now' : `${age} ago`}` : '');

    const isTrouble = state === 'old' && Boolean(error);
    byId('trouble').hidden = !isTrouble;
    if (!isTrouble) return;
    say(byId('trouble-text'), trouble(error) + (this.#last ? ` What is shown is from ${time(this.#last)}, and may not be so any more.` : ''));
    const left = Math.ceil((nextMs - Date.now()) / 1_000);
    say(byId('trouble-next'), left > 0 ? `Next attempt in ${left} s.` : 'Asking again…');
  }
}
