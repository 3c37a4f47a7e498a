// Asks the service something, and shows the answer while it comes.

import { Refused, call } from './api.js';
import { byId, element, say } from './dom.js';
import { events } from './events.js';
import { failure } from './failure.js';
import { clearReceipt, showReceipt } from './receipt.js';

const BROKEN = { error: 'The connection broke', message: 'What has come so far is not the whole answer. Is the service there? Try again.' };
const AWAY = { error: 'The service does not answer', message: 'Is it running, and can it be reached from here? Try again.' };

let running;

function step({ kind, text, items }) {
  const said = items ?? [text];
  byId('steps-none').hidden = true;
  byId('steps').hidden = false;
  byId('steps').append(element('li', {}, element('b', {}, kind), ' ', said.filter(Boolean).join(' ')));
}

function clear() {
  byId('steps').replaceChildren();
  byId('steps').hidden = true;
  byId('steps-none').hidden = false;
  byId('answer').replaceChildren();
  byId('failure').hidden = true;
  clearReceipt();
}

function fail(said, status) {
  byId('failure').replaceChildren(...failure(said, status));
  byId('failure').hidden = false;
  say(byId('ask-said'), byId('answer').textContent ? 'Not the whole answer' : 'No answer');
}

/**
 * Adds to `answer` what comes, once a frame: laid out after each piece, a long answer would leave no time for anything else. Adds, and
 * does not replace: who listens hears what is new, and who selects keeps what is selected. Who reads the end, stays there.
 */
function writer(answer) {
  const text = answer.appendChild(document.createTextNode(''));
  let waiting = '';
  let frame;
  const write = () => {
    frame = undefined;
    const isAtEnd = answer.scrollHeight - answer.scrollTop - answer.clientHeight < 24;
    text.appendData(waiting);
    waiting = '';
    if (isAtEnd) answer.scrollTop = answer.scrollHeight;
  };
  return {
    add(piece) {
      waiting += piece;
      // A page that nobody sees has no frames, and needs none.
      frame ??= requestAnimationFrame(write);
    },
    end() {
      cancelAnimationFrame(frame);
      if (waiting) write();
    },
  };
}

/** What is said of an answer that has come to its end. */
const ending = ({ finishReason }) => finishReason === 'length' ? 'Cut off at the limit of tokens.' : 'The answer is whole.';

/** Shows what comes, to its end. */
async function follow(reply, begun) {
  const writing = writer(byId('answer'));
  try {
    await show(reply, begun, writing);
  } finally {
    writing.end();
  }
}

async function show(reply, begun, writing) {
  const answer = byId('answer');
  let firstTextMs;
  for await (const event of events(reply.body)) {
    switch (event.type) {
      case 'THINKING':
        step(event);
        break;
      case 'DELTA':
        firstTextMs ??= performance.now() - begun;
        say(byId('ask-said'), 'Answering…');
        writing.add(event.text);
        break;
      case 'COMPLETE':
        writing.end();
        // A stored answer comes whole.
        if (answer.textContent !== event.code) answer.textContent = event.code;
        firstTextMs ??= performance.now() - begun;
        showReceipt({ metadata: event.metadata, headers: reply.headers, firstTextMs, totalMs: performance.now() - begun });
        return say(byId('ask-said'), ending(event.metadata));
      case 'ERROR':
        writing.end();
        return fail(event);
    }
  }
  writing.end();
  fail(BROKEN);
}

async function ask(tokens) {
  running = new AbortController();
  const model = byId('model').value.trim();
  clear();
  byId('send').disabled = true;
  byId('stop').disabled = false;
  say(byId('ask-said'), 'Asking…');
  const begun = performance.now();
  const token = tokens.key.value;
  let reply;
  try {
    reply = await call('llm/generate', {
      token,
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(byId('afresh').checked && { 'cache-control': 'no-cache' }) },
      body: JSON.stringify({ prompt: byId('prompt').value, streaming: true, ...(model && { model }) }),
      signal: running.signal,
    });
    await follow(reply, begun);
  } catch (error) {
    if (running.signal.aborted) {
      say(byId('ask-said'), 'Stopped. What was begun may be finished for the cache, and paid for (ON_ABANDON).');
    } else if (error instanceof Refused) {
      fail(error.body, error.status);
      if (error.wants === 'key') tokens.key.want(token);
    } else {
      fail(reply ? BROKEN : AWAY);
    }
  }
  running = undefined;
  byId('send').disabled = false;
  byId('stop').disabled = true;
}

/** Makes the form work, with the key of `tokens` where one is wanted. `asked` is called when a question has come to its end. */
export function playground(tokens, asked) {
  byId('ask').addEventListener('submit', event => {
    event.preventDefault();
    if (running) return;
    if (tokens.key.isMissing) return tokens.key.focus();
    ask(tokens).then(asked);
  });
  byId('stop').addEventListener('click', () => running?.abort());
  byId('prompt').addEventListener('keydown', event => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) byId('ask').requestSubmit();
  });
}
