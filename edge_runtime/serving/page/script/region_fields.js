// The region in numbers, what to do with it, and the button that asks for a decision.

import { text } from "./catalogue.js";
import { element, show } from "./dom.js";
import { same } from "./region.js";
import { State } from "./session.js";

const NAMES = ["x", "y", "radius"];

export class RegionFields {
  node;
  #item = null;
  #typing = false; // while the numbers are no region yet, what is typed stays
  #inputs = {};
  #labels = {};
  #parts;

  constructor({ mark, send }) {
    for (const name of NAMES) {
      this.#inputs[name] = element("input", { id: `region-${name}`, type: "number", step: "any", inputmode: "decimal", required: true });
      this.#labels[name] = element("label", { for: `region-${name}` });
      this.#inputs[name].addEventListener("input", () => {
        this.#typing = true;
        mark(this.#read());
      });
    }
    const remove = element("button", { type: "button", class: "quiet", onclick: () => this.#remove(mark) });
    const ask = element("button", { type: "submit", class: "primary", id: "ask" });
    const hint = element("p", { class: "muted" });
    const legend = element("legend");
    const changed = element("p", { class: "attention", hidden: true });
    const fields = NAMES.map((name) => element("div", { class: "field" }, this.#labels[name], this.#inputs[name]));
    const row = element("div", { class: "region-row" }, ...fields, element("div", { class: "actions" }, ask, remove));
    this.#parts = { remove, ask, hint, legend, changed };
    this.node = element("form", { class: "region-form", novalidate: true, hidden: true }, element("fieldset", {}, legend, hint, row), changed);
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
  }

  render(item) {
    if (item !== this.#item || item?.region) this.#typing = false;
    this.#item = item;
    show(this.node, Boolean(item?.model.region));
    if (!item?.model.region) return;
    const { remove, ask, hint, legend, changed } = this.#parts;
    legend.textContent = text("region.title");
    hint.textContent = text(item.size ? "region.hint" : "region.hint.numbers");
    remove.textContent = text("region.remove");
    ask.textContent = text("region.ask");
    for (const name of NAMES) {
      this.#labels[name].textContent = text(`region.${name}`);
      this.#write(this.#inputs[name], item.region?.[name]);
    }
    const busy = item.state === State.RUNNING || item.state === State.WAITING;
    ask.disabled = item.region === null || busy;
    remove.disabled = item.region === null;
    changed.textContent = text("region.changed");
    show(changed, item.state === State.ANSWERED && !same(item.region, item.asked));
  }

  #remove(mark) {
    this.#typing = false;
    mark(null);
    this.#inputs.x.focus(); // the button is disabled now
  }

  #write(input, value) {
    if (this.#typing || input.valueAsNumber === value) return;
    input.value = value ?? "";
  }

  #read() {
    const [x, y, radius] = NAMES.map((name) => this.#inputs[name].valueAsNumber);
    return [x, y, radius].every(Number.isFinite) && radius > 0 ? { x, y, radius } : null;
  }
}
