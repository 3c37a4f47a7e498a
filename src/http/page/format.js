// Numbers, money and times as people read them. Times are in the viewer's zone and custom.

const counts = new Intl.NumberFormat('en');
const times = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const clocks = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const days = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });

export const count = number => counts.format(number);
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** Dollars: cents at least, and as many digits more as it takes to see what is there, down to a millionth. */
export function money(dollars) {
  const digits = dollars > 0 && dollars < 1 ? Math.min(6, Math.max(2, Math.ceil(-Math.log10(dollars)) + 1)) : 2;
  const style = { style: 'currency', currency: 'USD', minimumFractionDigits: 2, maximumFractionDigits: digits };
  return dollars ? new Intl.NumberFormat('en-US', style).format(dollars) : '$0';
}

export function percent(part) {
  return `${new Intl.NumberFormat('en', { maximumFractionDigits: part < 10 ? 2 : 1 }).format(part)} %`;
}

/** Three digits are enough to know how long something took. */
export function milliseconds(ms) {
  const rounded = number => new Intl.NumberFormat('en', { maximumSignificantDigits: 3 }).format(number);
  if (ms < 999.5) return `${rounded(ms)} ms`;
  return ms < 59_950 ? `${rounded(ms / 1000)} s` : `${Math.floor(ms / 60_000)} min ${Math.floor(ms / 1000) % 60} s`;
}

/** A stretch of time in its two largest units. */
export function stretch(seconds) {
  const parts = [['d', 86_400], ['h', 3_600], ['min', 60], ['s', 1]];
  let left = Math.floor(seconds);
  const first = parts.findIndex(([, size]) => left >= size);
  if (first < 0) return '0 s';
  return parts.slice(first, first + 2).map(([unit, size]) => {
    const number = Math.floor(left / size);
    left -= number * size;
    return number && `${number} ${unit}`;
  }).filter(Boolean).join(' ');
}

export function bytes(number) {
  const units = ['bytes', 'KB', 'MB', 'GB'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log(Math.max(1, number)) / Math.log(1000)));
  return `${new Intl.NumberFormat('en', { maximumSignificantDigits: 3 }).format(number / 1000 ** unit)} ${units[unit]}`;
}

export const time = ms => times.format(ms);
export const clock = ms => clocks.format(ms);
export const day = when => days.format(new Date(when));
