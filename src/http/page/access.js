// The two tokens that the service may want, asked for only when it does. They live in this tab's session storage.

import { byId, say } from './dom.js';

const WRONG = {
  admin: 'The service does not take this token. It is the value of its ADMIN_TOKEN.',
  key: 'The service does not take this key. It is one of its API_KEYS, without the name before the colon.',
};

const kept = kind => `llm-gateway ${kind}`;

/** Where a browser keeps nothing for pages, a token lives as long as the page. */
const storage = (() => {
  try {
    sessionStorage.getItem('');
    return sessionStorage;
  } catch {
    const map = new Map();
    return { getItem: name => map.get(name) ?? null, setItem: (name, text) => map.set(name, text), removeItem: name => map.delete(name) };
  }
})();

/** One of the two: `admin` or `key`. */
class Token {
  #kind;
  #isWanted = false;

  constructor(kind, changed) {
    this.#kind = kind;
    const [form, input] = [byId(kind).querySelector('form'), byId(`${kind}-token`)];
    form.addEventListener('submit', event => {
      event.preventDefault();
      const token = input.value.trim();
      // What a header cannot carry is no token.
      if (!/^[\x21-\x7e]+$/.test(token)) return this.#complain(token ? WRONG[kind] : 'Nothing has been entered.');
      input.value = '';
      this.#complain('');
      storage.setItem(kept(kind), token);
      this.#show();
      byId(`${kind}-held`).querySelector('button').focus();
      changed();
    });
    byId(`${kind}-held`).querySelector('button').addEventListener('click', () => {
      storage.removeItem(kept(kind));
      this.#isWanted = true;
      this.#show();
      input.focus();
      changed();
    });
    this.#show();
  }

  get value() {
    return storage.getItem(kept(this.#kind)) ?? undefined;
  }

  get isMissing() {
    return this.#isWanted && !this.value;
  }

  /** The service wants it. If `tried` was it, that is wrong. */
  want(tried) {
    this.#isWanted = true;
    const isWrong = tried && tried === this.value;
    if (isWrong) storage.removeItem(kept(this.#kind));
    this.#show();
    if (isWrong) this.#complain(WRONG[this.#kind]);
  }

  focus() {
    byId(`${this.#kind}-token`).focus();
  }

  #complain(text) {
    say(byId(`${this.#kind}-said`), text);
    byId(`${this.#kind}-token`).setAttribute('aria-invalid', String(Boolean(text)));
    if (text) this.focus();
  }

  #show() {
    const isHeld = Boolean(this.value);
    byId(this.#kind).hidden = !isHeld && !this.#isWanted;
    byId(this.#kind).querySelector('form').hidden = isHeld;
    byId(`${this.#kind}-held`).hidden = !isHeld;
    byId('admin-only').hidden = byId('key').hidden;
    byId('access').hidden = byId('admin').hidden && byId('key').hidden;
  }
}

/** Both tokens; `changed` is called with the kind of the one that was entered or forgotten. */
export function access(changed) {
  return { admin: new Token('admin', () => changed('admin')), key: new Token('key', () => changed('key')) };
}
