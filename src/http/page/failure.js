// What went wrong with a question, and what can be done.

import { element } from './dom.js';
import { stretch } from './format.js';

/** The service's own words: `said` is the body of an error, or the last event of a stream that failed. */
export function failure(said, status) {
  const wait = said.retryAfter;
  const problems = (said.errors ?? []).map(({ msg, path }) => element('li', {}, path ? `${path}: ${msg}` : msg));
  const models = said.availableModels?.length ? `Models that can be asked: ${said.availableModels.join(', ')}.` : undefined;
  const advice = [said.reason, said.message, said.details, said.hint, models];
  const at = [said.provider, said.model].filter(Boolean).join(': ');
  const facts = [status && `status ${status}`, at, said.requestId && `request ${said.requestId}`].filter(Boolean).join(', ');
  return [
    element('p', {}, element('strong', {}, said.error ?? (problems.length ? 'The request is not as it should be' : 'The service answered with an error'))),
    ...advice.filter(Boolean).map(text => element('p', {}, text)),
    problems.length && element('ul', {}, ...problems),
    wait !== undefined && element('p', {}, `Wait ${stretch(wait)} before you ask again.`),
    facts && element('p', { class: 'muted' }, facts),
  ].filter(Boolean);
}
