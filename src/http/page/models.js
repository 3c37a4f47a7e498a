// The names that the playground offers: what can be asked, and how the demo provider misbehaves.

import { call } from './api.js';
import { byId, element } from './dom.js';

const DEMO_FAULTS = ['slow', 'hang', 'cut', 'error', 'rate-limited', 'overloaded', 'unauthorized', 'refusal', 'empty', 'truncated', 'panic'];

export async function offerModels(token) {
  const { providers, allModels } = await (await call('llm/providers', { token })).json();
  const callable = allModels.flatMap(({ provider, models }) => models.map(model => `${provider}:${model}`));
  const hasDemo = allModels.some(({ provider }) => provider === 'demo');
  // It stands in for every other, under that one's names.
  const names = hasDemo && allModels.length === 1 ? providers.flatMap(({ models }) => Object.keys(models)) : callable;
  const faults = hasDemo ? DEMO_FAULTS.map(fault => `demo:${fault}`) : [];
  byId('models').replaceChildren(...[...faults, ...new Set(names)].map(value => element('option', { value })));
}
