// The generations that ended last, the newest first.

import { byId, element, entry } from './dom.js';
import { count, milliseconds, money, time } from './format.js';
import { OUTCOMES } from './outcomes.js';

const COLUMNS = [
  ['Ended', one => element('time', { datetime: new Date(one.endedMs).toISOString() }, time(one.endedMs))],
  ['Outcome', one => element('span', { class: `outcome ${one.ending}` }, one.ending, one.error && `: ${one.error.replaceAll('_', ' ')}`)],
  ['Provider', one => one.provider],
  ['Model', one => (one.servedModel ? `${one.model} (${one.servedModel} answered)` : one.model)],
  ['Tokens in', one => count(one.inputTokens), 'n'],
  ['out', one => count(one.outputTokens), 'n'],
  ['Cost', one => money(one.cost), 'n'],
  ['First text', one => (one.firstTextMilliseconds === undefined ? '–' : milliseconds(one.firstTextMilliseconds)), 'n'],
  ['Total', one => milliseconds(one.milliseconds), 'n'],
  ['Calls', one => count(one.attempts), 'n'],
  ['Status', one => String(one.status), 'n'],
  ['Form', one => (one.isStream ? 'stream' : 'JSON')],
  ['Caller', one => one.caller ?? '–'],
  ['Route', one => one.route],
  ['Request', one => element('code', {}, one.requestId)],
];

byId('outcomes').append(...Object.entries(OUTCOMES).map(([outcome, meaning]) => entry(outcome, meaning)));

let shown;

export function showRecent({ recent }) {
  const newest = recent[0] ? `${recent[0].requestId} ${recent[0].endedMs}` : '';
  // While nothing is new, nothing is touched: somebody may be selecting in it.
  if (newest === shown) return;
  shown = newest;
  byId('recent-none').hidden = recent.length > 0;
  byId('recent-words').hidden = byId('recent-box').hidden = recent.length === 0;
  const [head, body] = [byId('recent').tHead, byId('recent').tBodies[0]];
  head.replaceChildren(element('tr', {}, ...COLUMNS.map(([name, , kind]) => element('th', { scope: 'col', class: kind }, name))));
  body.replaceChildren(...recent.map(one => element('tr', {}, ...COLUMNS.map(([, cell, kind]) => element('td', { class: kind }, cell(one))))));
}
