// The models of the service: which one is chosen, what it is for, its card and figures.

import { text } from "./catalogue.js";
import { byId, element, show } from "./dom.js";
import { renderFigures } from "./figures.js";
import { rendered } from "./markdown.js";

export class Models {
  chosen = null;
  #list = [];
  #known = new Map(); // name to what the service says about it
  #service;
  #onChange;

  constructor(service, onChange) {
    this.#service = service;
    this.#onChange = onChange;
    byId("model").addEventListener("change", (event) => this.#choose(event.target.value));
    byId("card-open").addEventListener("click", () => this.#openCard());
    byId("card-close").addEventListener("click", () => byId("card").close());
  }

  /** Ask the service which models there are. */
  async load() {
    this.#list = await this.#service.models();
    const options = this.#list.map((model) => element("option", { value: model.name }, `${model.name} ${model.version}`));
    byId("model").replaceChildren(...options);
    const first = this.#list.find((model) => model.default) ?? this.#list[0];
    if (first) await this.#choose(first.name);
  }

  /** Return whether a model can draw heatmaps; null if the service has not said so yet. */
  heatmaps(model) {
    const saliency = this.#known.get(model.name)?.manifest.saliency;
    return saliency === undefined ? null : saliency.method !== "none";
  }

  render() {
    const model = this.chosen;
    byId("model").disabled = this.#list.length === 0;
    byId("model-summary").textContent = model?.summary ?? "";
    byId("model-needs").textContent = model ? text(model.region ? "model.region" : "model.whole") : text("model.waiting");
    const known = model && this.#known.get(model.name);
    byId("card-open").disabled = !known?.card;
    renderFigures(byId("figures"), known?.manifest ?? null);
    this.#renderHeatmap(model);
  }

  #renderHeatmap(model) {
    const can = model ? this.heatmaps(model) : null;
    byId("want-heatmap").disabled = can === false;
    byId("heatmap-why").textContent = text("add.heatmap.none");
    show(byId("heatmap-why"), can === false);
  }

  async #choose(name) {
    this.chosen = this.#list.find((model) => model.name === name);
    byId("model").value = name;
    this.#onChange();
    if (!this.#known.has(name)) this.#known.set(name, await this.#service.model(name));
    const crop = this.#known.get(name).manifest.spec.region;
    if (crop) this.chosen.region = crop; // the list says only that there is one
    this.#onChange();
  }

  #openCard() {
    byId("card-text").replaceChildren(...rendered(this.#known.get(this.chosen.name).card));
    byId("card").showModal();
    byId("card-text").scrollTop = 0;
  }
}
