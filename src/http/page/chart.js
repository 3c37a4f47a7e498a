// One chart over time: drawn by uPlot, with a key that tells the numbers under the pointer, a sentence for who does not see it, and
// a table for who wants to know exactly.

import { element, say } from './dom.js';
import { clock } from './format.js';

const HEIGHT = 190;
/** The least that is shown: a few steps across the whole width would look like much. */
const LEAST_SECONDS = 3_600;
const FONT = '12px system-ui, sans-serif';

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isDark = matchMedia('(prefers-color-scheme: dark)');

/**
 * `of` says what is drawn:
 *
 * - `title`, `note`, and `none`, which stands there while there is nothing to draw;
 * - `series`: `[{ label, colour, value }]`, of which `value` takes a slice, and `null` is a gap;
 * - `isStacked`: bars on top of one another, instead of lines;
 * - `format`: a value as a text; `summary`: all slices, and how many seconds each is, in a sentence;
 * - `scale` and `axis`: what uPlot is to know besides of the values' scale and axis.
 */
export class Chart {
  #of;
  #plot;
  #slices = [];
  #stepSeconds = 300;
  #drawn = [];
  #numbers = new Map();

  constructor(of) {
    this.#of = of;
    const id = of.title.toLowerCase().replaceAll(' ', '-');
    this.canvas = element('div', { class: 'canvas', role: 'img' });
    this.empty = element('p', { class: 'empty' }, of.none);
    this.key = element('ul', { class: 'key' });
    this.when = element('span', { class: 'muted' });
    this.table = element('table');
    const box = element('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `${of.title} as a table` }, this.table);
    this.details = element('details', {}, element('summary', {}, 'As a table'), box);
    this.details.addEventListener('toggle', () => this.#tabulate());
    this.root = element('figure', { id },
      element('figcaption', {}, element('h3', {}, of.title), element('p', { class: 'muted' }, of.note)),
      this.empty, this.canvas, element('div', { class: 'keyline' }, this.key, this.when), this.details);
    new ResizeObserver(() => this.#plot?.setSize({ width: this.canvas.clientWidth, height: HEIGHT })).observe(this.canvas);
    isDark.addEventListener('change', () => this.#build());
  }

  show(slices, stepSeconds) {
    this.#slices = slices;
    this.#stepSeconds = stepSeconds;
    const drawn = this.#of.series.filter(series => slices.some(slice => this.#isThere(series.value(slice))));
    const isNew = drawn.length !== this.#drawn.length || drawn.some((series, at) => series !== this.#drawn[at]);
    this.#drawn = drawn;
    const isEmpty = drawn.length === 0;
    this.empty.hidden = !isEmpty;
    this.canvas.hidden = this.key.hidden = this.when.hidden = this.details.hidden = isEmpty;
    this.canvas.setAttribute('aria-label', `${this.#of.title}. ${this.#of.summary(slices, stepSeconds)}`);
    if (isNew || !this.#plot) this.#build();
    else this.#plot.setData(this.#data());
    this.#tell();
    this.#tabulate();
  }

  /** From the first to the end of the last, in seconds. Not by what uPlot says: it takes a single step for a day. */
  #hours() {
    const [first, last] = [this.#slices[0], this.#slices.at(-1)].map(slice => slice.startMs / 1_000);
    const end = last + this.#stepSeconds;
    return [Math.min(first, end - LEAST_SECONDS), end];
  }

  /** Nothing on a stack is not seen; on a line it is. */
  #isThere(value) {
    return this.#of.isStacked ? value > 0 : value !== null;
  }

  /** Columns as uPlot wants them. Of a stack, each is the sum of those below, and the highest is drawn first. */
  #data() {
    const times = this.#slices.map(slice => slice.startMs / 1_000);
    const columns = this.#drawn.map(series => this.#slices.map(series.value));
    if (!this.#of.isStacked) return [times, ...columns];
    const sums = times.map(() => 0);
    return [times, ...columns.map(column => column.map((value, at) => (sums[at] += value))).reverse()];
  }

  #build() {
    this.#plot?.destroy();
    this.#plot = undefined;
    if (this.#drawn.length === 0) return this.key.replaceChildren();
    this.#numbers = new Map(this.#drawn.map(series => [series, element('b', {})]));
    this.key.replaceChildren(...this.#drawn.map(series => {
      const swatch = element('i', { 'aria-hidden': 'true' });
      swatch.style.background = colour(series.colour);
      return element('li', {}, swatch, series.label, ' ', this.#numbers.get(series));
    }));
    const [text, line, { isStacked, scale, axis, format }] = [colour('--muted'), colour('--line'), this.#of];
    const shown = isStacked ? this.#drawn.toReversed() : this.#drawn;
    const look = ({ colour: name }) => (isStacked
      ? { fill: colour(name), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.86, 60], align: 1 }) }
      : { stroke: colour(name), width: 2, points: { size: 7, fill: colour(name) } });
    const axes = { stroke: text, font: FONT, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
    this.#plot = new uPlot({
      width: this.canvas.clientWidth,
      height: HEIGHT,
      padding: [8, 30, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !isStacked } },
      scales: { x: { range: () => this.#hours() }, y: scale },
      series: [{}, ...shown.map(look)],
      axes: [
        { ...axes, size: 28, gap: 4, space: 76, values: (plot, splits) => splits.map(seconds => clock(seconds * 1_000)) },
        { ...axes, gap: 4, size: (plot, values) => 14 + 6.6 * Math.max(0, ...(values ?? []).map(value => value?.length ?? 0)),
          values: (plot, splits) => splits.map(value => (value === null ? null : format(value))), ...axis, grid: { ...axes.grid, ...axis?.grid }, ticks: { ...axes.ticks, ...axis?.ticks } },
      ],
      hooks: { setCursor: [() => this.#tell()] },
    }, this.#data(), this.canvas);
  }

  /** The numbers under the pointer stand in the key; there are none where it is not. */
  #tell() {
    const at = this.#plot?.cursor.idx;
    const slice = this.#slices[at ?? -1];
    for (const [series, number] of this.#numbers) {
      const value = slice && series.value(slice);
      say(number, value === undefined || value === null ? '' : this.#of.format(value));
    }
    say(this.when, slice ? this.#span(slice) : '');
  }

  #span({ startMs }) {
    return `${clock(startMs)} to ${clock(startMs + this.#stepSeconds * 1_000)}`;
  }

  #tabulate() {
    if (!this.details.open) return;
    const cell = value => element('td', { class: 'n' }, value === null ? '–' : this.#of.format(value));
    const isThere = slice => this.#drawn.some(series => this.#isThere(series.value(slice)));
    const row = slice => element('tr', {}, element('th', { scope: 'row' }, this.#span(slice)), ...this.#drawn.map(series => cell(series.value(slice))));
    const heads = ['Time', ...this.#drawn.map(series => series.label)].map((label, at) => element('th', { scope: 'col', class: at > 0 && 'n' }, label));
    this.table.replaceChildren(element('thead', {}, element('tr', {}, ...heads)), element('tbody', {}, ...this.#slices.filter(isThere).reverse().map(row)));
  }
}
