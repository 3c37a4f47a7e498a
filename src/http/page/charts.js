// What is drawn of the last hours.

import { Chart } from './chart.js';
import { byId } from './dom.js';
import { count, milliseconds, money, percent, plural, stretch } from './format.js';
import { OUTCOMES, sum, total } from './outcomes.js';

const COUNTS = [1, 2, 5].flatMap((step, at, steps) => [0, 1, 2, 3, 4, 5, 6].map(power => step * 10 ** power)).sort((a, b) => a - b);
/** Of the steps on such a scale, those that have a number. */
const tenfold = (plot, splits) => splits.map(value => (Number.isInteger(Number(Math.log10(value).toFixed(6))) ? value : null));
const fromZero = { range: (plot, from, to) => [0, to > 0 ? to * 1.08 : 1] };

function outcomes(slices) {
  const endings = sum(slices);
  const parts = Object.entries(endings).map(([outcome, number]) => `${count(number)} ${outcome}`);
  return parts.length ? `${plural(total(endings), 'generation')}: ${parts.join(', ')}.` : 'None.';
}

/** Hits among hits and misses, as the number above has it, of one slice. */
function hitRate({ endings: { hit = 0, miss = 0 } }) {
  return hit + miss ? (100 * hit) / (hit + miss) : null;
}

function highest(slices, value, format) {
  const values = slices.map(value).filter(number => number !== null);
  return values.length ? `${format(Math.min(...values))} to ${format(Math.max(...values))}` : 'nothing yet';
}

const sumOf = (slices, name) => money(slices.reduce((sum, slice) => sum + slice[name], 0));

const CHARTS = [
  new Chart({
    title: 'Generations by outcome',
    note: 'Stored answers at the bottom, what went wrong on top.',
    none: 'Nothing has been asked.',
    isStacked: true,
    series: Object.keys(OUTCOMES).map(outcome => ({ label: outcome, colour: `--${outcome}`, value: ({ endings }) => endings[outcome] ?? 0 })),
    format: count,
    summary: outcomes,
    scale: fromZero,
    axis: { incrs: COUNTS },
  }),
  new Chart({
    title: 'Latency',
    note: 'To the end of the reply, on a scale of tenfold steps. Stored answers count too.',
    none: 'Nothing has come to its end.',
    series: [
      { label: 'median', colour: '--median', value: slice => slice.medianMilliseconds },
      { label: 'p95', colour: '--p95', value: slice => slice.p95Milliseconds },
    ],
    format: milliseconds,
    summary: slices => `The median was ${highest(slices, slice => slice.medianMilliseconds, milliseconds)}, `
      + `the 95th percentile ${highest(slices, slice => slice.p95Milliseconds, milliseconds)}.`,
    scale: { distr: 3, log: 10 },
    axis: { grid: { filter: tenfold }, ticks: { filter: tenfold } },
  }),
  new Chart({
    title: 'Hit rate',
    note: 'Hits among hits and misses.',
    none: 'There was neither a hit nor a miss.',
    series: [{ label: 'hit rate', colour: '--hit', value: hitRate }],
    format: percent,
    summary: slices => `${highest(slices, hitRate, percent)}.`,
    scale: { range: [0, 100] },
  }),
  new Chart({
    title: 'Money',
    note: 'Together, what it would have cost without the cache.',
    none: 'Nothing was spent, and nothing saved.',
    isStacked: true,
    series: [
      { label: 'spent', colour: '--spent', value: slice => slice.spent },
      { label: 'saved', colour: '--saved', value: slice => slice.saved },
    ],
    format: money,
    summary: (slices, seconds) => `${sumOf(slices, 'spent')} spent and ${sumOf(slices, 'saved')} saved in ${stretch(slices.length * seconds)}.`,
    scale: fromZero,
  }),
];

byId('charts').append(...CHARTS.map(chart => chart.root));

export function showCharts({ slices, sliceSeconds }) {
  const isEmpty = total(sum(slices)) === 0;
  byId('charts').hidden = isEmpty;
  byId('charts-none').hidden = !isEmpty;
  for (const chart of CHARTS) chart.show(slices, sliceSeconds);
}
