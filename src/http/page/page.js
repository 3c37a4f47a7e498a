// The status page: asks how the service is doing, shows it, and lets people ask something themselves.

import { access } from './access.js';
import { call } from './api.js';
import { showCharts } from './charts.js';
import { byId } from './dom.js';
import { offerModels } from './models.js';
import { playground } from './playground.js';
import { Poll } from './poll.js';
import { Pulse } from './pulse.js';
import { showRecent } from './recent.js';
import { showBudgets, showState } from './state.js';
import { showAlerts, showTiles } from './tiles.js';

/** Whose token opens the numbers: the administrator's, unless the service says otherwise. */
let door = 'admin';

const tokens = access(kind => {
  if (kind === 'key') models();
  poll.now();
});

async function ask(signal) {
  const token = tokens[door].value;
  let status;
  try {
    status = await (await call('llm/status', { token, signal })).json();
  } catch (error) {
    if (!error.wants) throw error;
    const isOther = error.wants !== door;
    door = error.wants;
    byId('key-numbers').hidden = door !== 'key';
    if (isOther && tokens[door].value) return ask(signal);
    tokens[door].want(token);
    throw error;
  }
  try {
    // Charts must be seen to know their width.
    byId('numbers').hidden = false;
    for (const show of [showTiles, showAlerts, showCharts, showState, showBudgets, showRecent]) show(status);
  } catch (error) {
    console.error(error);
    // Not the service's fault: it may be a later one than that which the page is from.
    error.isOurs = true;
    throw error;
  }
}

async function models() {
  const token = tokens.key.value;
  try {
    await offerModels(token);
  } catch (error) {
    // Without the list, a name can be written by hand.
    if (error.wants === 'key') tokens.key.want(token);
  }
}

const poll = new Poll(ask, outcome => {
  if (outcome.error?.wants) byId('numbers').hidden = true;
  pulse.heard(outcome);
});
const pulse = new Pulse(() => poll.now());

playground(tokens, () => poll.now());
poll.now();
models();
