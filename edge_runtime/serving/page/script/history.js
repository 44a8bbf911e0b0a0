// The session's images in a table; a row's button shows its image.

import { clock, number, text } from "./catalogue.js";
import { byId, element, shown } from "./dom.js";
import { outcome, scoreText, unfamiliar, why } from "./phrases.js";
import { glyph } from "./result.js";
import { State } from "./session.js";

const COLUMNS = ["image", "outcome", "score", "why", "time"];

export class History {
  #place;
  #session;
  #rows = new Map(); // by id; a row's button stays the same element, so that it keeps the focus

  constructor(place, session) {
    this.#place = place;
    this.#session = session;
    this.#build();
  }

  /** Draw all rows; after a change of the language, too. */
  render() {
    const { items } = this.#session;
    const kept = new Set(items.map((item) => item.id));
    for (const [id, row] of this.#rows) {
      if (kept.has(id)) continue;
      row.node.remove();
      this.#rows.delete(id);
    }
    for (const item of items) this.#fill(this.#rowOf(item), item);
    this.empty.textContent = text("history.empty");
    this.empty.hidden = items.length > 0;
    this.table.hidden = items.length === 0;
    this.head.replaceChildren(
      ...COLUMNS.map((name) => element("th", { scope: "col" }, text(`column.${name}`))),
      element("th", { scope: "col" }, element("span", { class: "hidden" }, text("column.remove"))),
    );
  }

  #build() {
    this.empty = element("p", { class: "empty" });
    this.head = element("tr");
    this.body = element("tbody");
    this.table = element("table", { class: "history", "aria-labelledby": "history-title" }, element("thead", {}, this.head), this.body);
    this.#place.append(this.empty, this.table);
  }

  #rowOf(item) {
    if (!this.#rows.has(item.id)) {
      const open = element("button", { type: "button", class: "row-open", onclick: () => this.#session.show(item) });
      const remove = element("button", { type: "button", class: "quiet icon-only", onclick: () => this.#removed(item) }, "×");
      const cells = Object.fromEntries(COLUMNS.map((name) => [name, element(name === "image" ? "th" : "td", { class: `cell-${name}` })]));
      cells.image.setAttribute("scope", "row");
      const model = element("span", { class: "row-model muted" });
      cells.image.append(open, model);
      const node = element("tr", {}, ...Object.values(cells), element("td", { class: "cell-remove" }, remove));
      this.body.append(node);
      this.#rows.set(item.id, { node, open, model, remove, cells });
    }
    return this.#rows.get(item.id);
  }

  #fill({ node, open, model, remove, cells }, item) {
    const now = this.#session.current === item;
    node.classList.toggle("current", now);
    open.setAttribute("aria-current", String(now));
    open.replaceChildren(element("bdi", {}, shown(item.name)));
    remove.setAttribute("aria-label", text("history.remove", { name: shown(item.name) }));
    model.textContent = item.model.name;
    cells.outcome.replaceChildren(...outcomeParts(item));
    cells.score.replaceChildren(...scoreParts(item));
    cells.why.textContent = why(item);
    cells.time.textContent = item.at ? clock(item.at) : "";
  }

  #removed(item) {
    const places = [...this.#rows.keys()];
    const after = places[places.indexOf(item.id) + 1] ?? places[places.indexOf(item.id) - 1];
    this.#session.remove(item);
    (this.#rows.get(after)?.open ?? byId("files")).focus();
  }
}

function outcomeParts(item) {
  const kind = { [State.ANSWERED]: item.answer?.decision.toLowerCase(), [State.FAILED]: "failed" }[item.state];
  const chip = element("span", { class: `chip chip-${kind ?? "open"}` }, kind ? glyph(kind) : null, outcome(item));
  return [chip];
}

function scoreParts(item) {
  const score = element("span", { class: "number" }, scoreText(item));
  if (item.state !== State.ANSWERED || unfamiliar(item.answer)) return [score];
  return [score, element("span", { class: "muted number" }, ` / ${number(item.answer.cutoff)}`)];
}
