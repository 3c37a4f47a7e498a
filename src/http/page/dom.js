// Making and finding elements. Whatever comes from the service becomes text here, and never markup.

export const byId = id => document.getElementById(id);

/** An element with attributes and children; a child that is a string is text, and one that is nothing is left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(attribute, '');
    else if (value !== undefined && value !== false) made.setAttribute(attribute, value);
  }
  made.append(...children.filter(child => child !== undefined && child !== null && child !== false));
  return made;
}

/** Sets a text, and touches nothing if it is the same: who reads or selects it is not disturbed. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** A term and what is to be said of it, for a `dl`. */
export const entry = (term, ...said) => element('div', {}, element('dt', {}, term), element('dd', {}, ...said));

/** Puts children in place of those that are there, unless these look the same. */
export function replace(target, ...children) {
  const holder = element(target.localName, {}, ...children);
  if (holder.innerHTML !== target.innerHTML) target.replaceChildren(...holder.childNodes);
}
