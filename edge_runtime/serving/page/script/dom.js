// Elements made in code. Text goes in as text alone, so that no name or message can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element with attributes and children; `on…` members are listeners, null and false leave one out. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return an element of SVG, likewise. */
export function drawing(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Return the element of the page with this id. */
export const byId = (id) => document.getElementById(id);

/** Set a custom property of CSS: a style attribute in markup is forbidden by the Content-Security-Policy. */
export function setVariable(node, name, value) {
  node.style.setProperty(name, String(value));
  return node;
}

/** Show or hide an element. */
export function show(node, visible) {
  node.hidden = !visible;
}

/** Return a function that calls `run` once the calls have paused for `ms`. */
export function settled(run, ms) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(run, ms, ...given);
  };
}

// What Python's str.isprintable says no to: controls, format characters such as bidirectional overrides, other spaces.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

/** Return external text, such as a file's name, in one line without invisible characters. */
export function shown(text) {
  return text.replace(UNPRINTABLE, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
