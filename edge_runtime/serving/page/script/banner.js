// What holds the whole page up: no connection, or no access token. The user goes on.

import { text } from "./catalogue.js";
import { element, show } from "./dom.js";
import { State } from "./session.js";

/**
 * Draw the banner of a halt.
 *
 * @param {HTMLElement} place
 * @param {?string} halted null, "connection" or "token"
 * @param {{items: object[], resume: () => void, useToken: (token: string) => void}} given
 */
export function renderBanner(place, halted, { items, resume, useToken }) {
  show(place, halted !== null);
  const shownNow = `${halted} ${document.documentElement.lang} ${waitingIn(items)}`;
  if (place.dataset.shown === shownNow) return; // what is typed stays
  place.dataset.shown = shownNow;
  place.replaceChildren(...(halted === null ? [] : halted === "token" ? [tokenForm(useToken)] : [lost(items, resume)]));
}

function lost(items, resume) {
  return element(
    "div",
    { class: "banner-row" },
    element("p", {}, element("strong", {}, `${text("lost.title")} `), text("lost.text", { count: waitingIn(items) })),
    element("button", { type: "button", id: "reconnect", onclick: resume }, text("lost.retry")),
  );
}

function tokenForm(useToken) {
  const input = element("input", { id: "token", type: "password", autocomplete: "off", required: true });
  const form = element(
    "form",
    { class: "banner-row" },
    element("label", { for: "token" }, text("token.label")),
    input,
    element("button", { type: "submit" }, text("token.use")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    useToken(input.value.trim());
  });
  return form;
}

function waitingIn(items) {
  return items.filter((item) => item.state === State.WAITING).length;
}
