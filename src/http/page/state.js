// How the store, the limiter, the providers and the budgets stand.

import { byId, element, entry, replace } from './dom.js';
import { bytes, count, day, money, percent, plural } from './format.js';

const badge = (state, word) => element('span', { class: `badge ${state}` }, word);

const MODES = {
  shared: ['good', 'shared', 'the store counts for all instances'],
  memory: ['good', 'alone', 'this process counts for itself'],
  local: ['warn', 'local', 'the store is away, and each instance counts for itself'],
};

function store({ kind, ok, latencyMs, error }) {
  if (kind === 'memory') return [badge('good', 'memory'), 'this process’s own, gone when it stops'];
  if (!ok) return [badge('bad', `${kind} does not answer`), error ?? ''];
  return [badge('good', kind), `answers in ${count(latencyMs)} ms`];
}

function limiter({ max, windowSeconds, mode }) {
  const [state, word, meaning] = MODES[mode] ?? ['good', mode, ''];
  if (!max) return [badge('good', 'off'), 'clients ask as often as they like'];
  return [badge(state, word), `${plural(max, 'generation')} in ${windowSeconds} s for each client; ${meaning}`];
}

const provider = ([id, { ok }]) =>
  element('li', {}, element('code', {}, id), ' ', ok ? badge('good', 'available') : badge('bad', 'skipped: it failed too often in a row'));

export function showState({ store: itsStore, limiter: itsLimiter, providers, cache }) {
  const all = Object.entries(providers);
  const isDemo = all.length === 1 && all[0][0] === 'demo';
  const none = element('p', { class: 'empty' }, 'None is configured: there is nobody to ask.');
  replace(byId('state'),
    entry('Providers', all.length ? element('ul', {}, ...all.map(provider)) : none,
      isDemo && element('p', { class: 'muted' }, 'The demo provider makes its answers up. Set a provider’s key for real ones.')),
    entry('Store', ...spaced(store(itsStore))),
    entry('Limiter', ...spaced(limiter(itsLimiter))),
    entry('Answers at hand', `${count(cache.instance.entries)}, which take ${bytes(cache.instance.bytes)} of memory`));
}

const spaced = ([first, second]) => [first, ' ', second];

const NAMES = { daily: 'Today', weekly: 'This week', monthly: 'This month' };

function budget(name, { used, limit, percentage, isOverLimit, isNearLimit, resetDate }) {
  const state = isOverLimit ? 'bad' : isNearLimit ? 'warn' : 'good';
  // The text says it; this is for the eye.
  const bar = element('progress', { class: state, max: 100, value: Math.min(100, Math.max(0, percentage || 0)), 'aria-hidden': 'true' });
  return entry(name, `${money(used)} of ${money(limit)} `, state !== 'good' && badge(state, isOverLimit ? 'exceeded' : 'nearly spent'),
    bar, element('span', { class: 'muted' }, `${percent(percentage || 0)}, resets ${day(resetDate)}`));
}

export function showBudgets({ budget: periods }) {
  const known = Object.keys(NAMES).filter(period => periods[period]);
  replace(byId('budgets'), ...known.map(period => budget(NAMES[period], periods[period])));
}
