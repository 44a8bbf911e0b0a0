// Words in the reader's language, from catalogue/LANGUAGE.json. Codes of the service are translated by code.

export const LANGUAGES = { en: "English", de: "Deutsch" };
const FALLBACK = "en";
const LOCALES = { en: "en-GB", de: "de-DE" }; // of numbers and times

let language = FALLBACK;
let words = {};

/** Return the reader's language: `?lang=` of the address, then what the browser prefers, then English. */
export function preferred() {
  const wanted = [new URLSearchParams(location.search).get("lang"), ...navigator.languages];
  return wanted.map((each) => each?.slice(0, 2).toLowerCase()).find((each) => each in LANGUAGES) ?? FALLBACK;
}

/** Load a language and write every text of the page in it. */
export async function speak(wanted) {
  const answer = await fetch(new URL(`../catalogue/${wanted}.json`, import.meta.url));
  words = await answer.json();
  language = wanted;
  document.documentElement.lang = wanted;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = text(node.dataset.text);
  for (const node of document.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", text(node.dataset.label));
    node.title = text(node.dataset.label);
  }
}

/** Return the text of a key, with `{name}` replaced by the members of `values`. */
export function text(key, values = {}) {
  const found = words[key] ?? key;
  return found.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

/** Return the text of `prefix` and a code of the service, or null if the catalogue has none. */
export function textOfCode(prefix, code) {
  return words[`${prefix}.${code}`] ?? null;
}

/** Return the language in use. */
export const spoken = () => language;

/** Return a number with a fixed count of decimals. */
export function number(value, decimals = 3) {
  return value.toLocaleString(LOCALES[language], { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** Return a number with at most so many decimals. */
export function shortNumber(value, decimals = 1) {
  return value.toLocaleString(LOCALES[language], { maximumFractionDigits: decimals });
}

/** Return a time of the day. */
export const clock = (date) => date.toLocaleTimeString(LOCALES[language], { timeStyle: "medium" });

/** Return a date with its time. */
export const moment = (date) => date.toLocaleString(LOCALES[language], { dateStyle: "long", timeStyle: "medium" });
