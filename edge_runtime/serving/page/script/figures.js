// Measured figures of a model on held-out patients, and what it was trained on.

import { number, text, textOfCode } from "./catalogue.js";
import { element } from "./dom.js";

const SHOWN = ["sensitivity", "specificity", "balanced accuracy", "auroc", "answered"];

/** Draw the figures of a model's manifest into `place`; null while it is not known. */
export function renderFigures(place, manifest) {
  const evaluation = manifest && chosen(manifest.evaluations ?? []);
  const parts = [evaluation ? table(evaluation) : element("p", { class: "empty" }, text(manifest ? "figures.none" : "figures.waiting"))];
  if (manifest?.training) parts.push(training(manifest.training));
  place.replaceChildren(...parts);
}

/** Return the evaluation of the network itself on test patients, else on others. */
function chosen(evaluations) {
  const network = evaluations.filter((each) => each.subject !== "baseline");
  return network.find((each) => each.part === "test") ?? network[0] ?? null;
}

function table(evaluation) {
  const rows = SHOWN.map((name) => evaluation.figures.find((figure) => figure.name === name)).filter(Boolean);
  const counted = { images: evaluation.images, groups: evaluation.groups, positives: evaluation.positives };
  const part = textOfCode("part", evaluation.part) ?? evaluation.part;
  return element(
    "table",
    { class: "figures" },
    element("caption", {}, text("figures.caption", { part, ...counted })),
    element("thead", {}, element("tr", {}, ...["name", "value", "interval"].map((name) => element("th", { scope: "col" }, text(`figures.${name}`))))),
    element("tbody", {}, ...rows.map(row)),
  );
}

function row(figure) {
  const interval = figure.low === null || figure.low === undefined ? "–" : `${number(figure.low)} – ${number(figure.high)}`;
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, textOfCode("figure", figure.name.replaceAll(" ", "_")) ?? figure.name),
    element("td", { class: "number" }, number(figure.value)),
    element("td", { class: "number muted" }, interval),
  );
}

function training(given) {
  return element(
    "dl",
    { class: "training" },
    element("div", {}, element("dt", {}, text("figures.data")), element("dd", { lang: "en" }, given.dataset)),
    element("div", {}, element("dt", {}, text("figures.licence")), element("dd", { lang: "en" }, given.licence)),
    given.research_only ? element("p", { class: "attention" }, text("figures.research")) : null,
  );
}
