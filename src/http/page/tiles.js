// The numbers of now, and what is amiss.

import { byId, element, entry, replace } from './dom.js';
import { clock, count, day, milliseconds, money, percent, plural, stretch } from './format.js';
import { sum, total } from './outcomes.js';

/** A tile: what it is, the number, and a line that explains it. */
const tile = (id, term, number, ...said) =>
  entry(term, element('span', { id, class: 'number' }, number), element('span', { class: 'muted' }, said.filter(Boolean).join(', ')));

function latency({ slices, sliceSeconds }) {
  const last = slices.findLast(slice => slice.medianMilliseconds !== null);
  if (!last) return tile('latency', 'Median latency', '–', 'nothing has been asked yet');
  const until = last.startMs + sliceSeconds * 1_000;
  return tile('latency', 'Median latency', milliseconds(last.medianMilliseconds),
    `p95 ${milliseconds(last.p95Milliseconds)}`, `${clock(last.startMs)} to ${clock(until)}`);
}

export function showTiles(status) {
  const { cache, budget, slices, sliceSeconds } = status;
  const hours = stretch(slices.length * sliceSeconds);
  const endings = sum(slices);
  const saved = slices.reduce((sum, slice) => sum + slice.saved, 0);
  const spent = slices.reduce((sum, slice) => sum + slice.spent, 0);
  const amiss = ['failed', 'limited', 'refused'].filter(outcome => endings[outcome]).map(outcome => `${count(endings[outcome])} ${outcome}`);
  replace(byId('tiles'),
    tile('hit-rate', 'Hit rate', cache.hits + cache.misses ? percent(cache.hitRate) : '–', plural(cache.hits, 'hit'),
      plural(cache.misses, 'miss', 'misses'), cache.joined && `${count(cache.joined)} joined`, cache.stale && `${count(cache.stale)} stale`),
    tile('saved', 'Saved by the cache', cache.estimatedSavings, `${money(saved)} in the last ${hours}`),
    tile('spent', 'Spent today', money(budget.daily.used), `${money(spent)} in the last ${hours}`),
    tile('requests', 'Generations', count(total(endings)), `in the last ${hours}`, ...amiss),
    latency(status),
    tile('in-flight', 'Under way', count(status.inFlight), `of at most ${count(status.inFlightLimit)}`));
  byId('hours-note').textContent = `Of this process, in steps of ${stretch(sliceSeconds)}. It remembers twelve hours, and has run for ${stretch(status.uptimeSeconds)}.`;
  byId('build').textContent = `version ${status.version}, up ${stretch(status.uptimeSeconds)}`;
}

export function showAlerts({ alerts }) {
  byId('alerts').hidden = !alerts.length;
  replace(byId('alert-list'), ...alerts.toReversed().map(alert =>
    element('li', { class: `notice ${alert.type === 'limit_exceeded' ? 'bad' : 'warn'}` },
      element('span', {}, alert.message), ' ', element('time', { class: 'muted', datetime: alert.timestamp }, day(alert.timestamp)))));
}
