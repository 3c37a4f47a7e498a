// How an answer came about, and what it cost.

import { byId, element, entry, replace } from './dom.js';
import { count, milliseconds, money, stretch } from './format.js';

/** What `Cache-Status` (RFC 9211) says, in words. */
function cacheInWords(status) {
  const has = word => status.includes(word);
  const kept = has('stored') ? ', and the answer is stored' : '';
  if (has('detail=stale-if-error')) return 'A stale answer stood in, because the call failed';
  if (has('; hit')) return 'Hit: a stored answer';
  if (has('collapsed')) return 'Joined: the answer of another’s call';
  if (has('fwd=miss')) return `Miss: it was not stored before${kept}`;
  if (has('fwd=stale')) return `What was stored was stale, so it was asked for again${kept}`;
  if (has('fwd=request')) return `Asked afresh, as you wished${kept}`;
  return has('fwd=bypass') ? 'The cache was not asked' : 'Not known';
}

/** `limiter;dur=0.166, total;dur=0.950` as parts with their times. */
function timings(header) {
  const parts = header.split(',').map(part => part.trim().match(/^([\w-]+);dur=([\d.]+)$/)).filter(Boolean);
  return parts.map(([, name, ms]) => `${name} ${milliseconds(Number(ms))}`).join(', ');
}

function tokens({ inputTokens, outputTokens, cachedInputTokens, reasoningTokens, estimated }) {
  const more = [
    cachedInputTokens && `${count(cachedInputTokens)} of them cached at the provider`,
    reasoningTokens && `${count(reasoningTokens)} of reasoning`,
    estimated && 'estimated',
  ].filter(Boolean);
  return `${count(inputTokens)} in, ${count(outputTokens)} out${more.length ? ` (${more.join(', ')})` : ''}`;
}

/** The receipt of an answer with this `metadata`, whose head had these `headers`; times are the browser's, in milliseconds. */
export function showReceipt({ metadata, headers, firstTextMs, totalMs }) {
  const age = headers.get('age');
  const timing = headers.get('server-timing');
  const status = metadata.cache ?? headers.get('cache-status') ?? '';
  const rows = [
    ['Cache', cacheInWords(status), ' ', element('code', {}, status)],
    age !== null && ['Age', stretch(Number(age))],
    ['Provider', metadata.provider, metadata.mock && ' (made up, no model was asked)'],
    ['Model', metadata.model, metadata.servedModel && `; ${metadata.servedModel} answered`],
    ['Tokens', tokens(metadata.usage ?? {})],
    ['Cost', money(metadata.estimatedCost)],
    ['Calls', count(metadata.attempts)],
    ['Ended by', metadata.finishReason],
    ['First text', firstTextMs === undefined ? '–' : milliseconds(firstTextMs)],
    ['Total', milliseconds(totalMs)],
    timing && ['Server-Timing', timings(timing)],
    metadata.ignored?.length && ['Left out', metadata.ignored.join(', ')],
    ['Request', element('code', {}, metadata.requestId)],
  ];
  byId('receipt-none').hidden = true;
  byId('receipt').hidden = false;
  replace(byId('receipt'), ...rows.filter(Boolean).map(([term, ...said]) => entry(term, ...said)));
}

export function clearReceipt() {
  byId('receipt-none').hidden = false;
  byId('receipt').hidden = true;
}
