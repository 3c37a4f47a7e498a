// What becomes of a generation: the service's words, in the order in which they are stacked, and what they mean.

export const OUTCOMES = {
  hit: 'a fresh stored answer',
  stale: 'a stored answer that was no longer fresh',
  joined: 'the answer of another’s call',
  miss: 'the answer of a call',
  bypassed: 'the answer of a call, and the cache was not asked',
  limited: 'one too many for a limit',
  refused: 'the request was at fault',
  failed: 'no answer, or not to its end',
  left: 'the client left before the end',
};

/** How many came to each, in some slices of time. */
export function sum(slices) {
  const sums = {};
  for (const { endings } of slices) {
    for (const [outcome, number] of Object.entries(endings)) sums[outcome] = (sums[outcome] ?? 0) + number;
  }
  return sums;
}

export const total = endings => Object.values(endings).reduce((sum, number) => sum + number, 0);
