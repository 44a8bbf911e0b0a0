// The report that is printed: one block for each image that has an outcome, and nothing else of the page.

import { moment, number, text } from "./catalogue.js";
import { drawing, element, shown } from "./dom.js";
import { announcement, cause, decision, reason, refused, regionText, remedy, unfamiliar } from "./phrases.js";
import { distance, glyph, scores, siteText } from "./result.js";
import { State } from "./session.js";
import { heatmapText, heatmapUrl } from "./viewer.js";

/** Write the report into `place`. */
export function writeReport(place, items) {
  const done = items.filter((item) => item.state === State.ANSWERED || item.state === State.FAILED);
  place.replaceChildren(head(done), ...done.map(entry), foot());
}

/** Wait until every image of the report can be drawn. */
export async function drawn(place) {
  await Promise.all([...place.querySelectorAll("img")].map((image) => image.decode().catch(() => undefined)));
}

function head(done) {
  const models = [...new Set(done.map((item) => `${item.model.name} ${item.model.version}`))];
  return element(
    "header",
    {},
    element("h1", {}, text("report.title")),
    element("p", { class: "report-notice" }, text("notice")),
    element("p", {}, text("report.made", { moment: moment(new Date()), count: done.length, models: models.join(", ") })),
  );
}

function entry(item) {
  const said = item.state === State.ANSWERED ? answered(item) : failed(item);
  return element("article", { "aria-label": announcement(item) }, element("h2", {}, shown(item.name)), element("div", { class: "report-body" }, images(item), element("div", {}, ...said)));
}

function answered(item) {
  const found = item.answer;
  const said = siteText(found);
  const site = said ? element("p", {}, element("strong", {}, `${text("site.title")} `), said) : null;
  return [
    element("p", { class: `plate plate-${found.decision.toLowerCase()}` }, glyph(found.decision.toLowerCase()), decision(found)),
    element("p", {}, reason(found), ` (${found.reason})`),
    ...(unfamiliar(found) ? [element("p", {}, text("result.no_scores"))] : scores(found)),
    distance(found),
    site,
    element("p", { class: "report-fine" }, `${found.model} ${found.version}, ${found.precision}, ${found.backend}; ${text("score.limit")} ${number(found.cutoff)}`),
    element("p", { class: "report-fine" }, `SHA-256 ${found.sha256}; ${found.time}`),
    element("p", { class: "report-fine" }, text("notice")),
  ];
}

function failed(item) {
  const todo = remedy(item.problem);
  return [
    element("p", { class: "plate plate-failed" }, glyph("failed"), text(refused(item.problem) ? "state.refused" : "state.failed")),
    element("p", {}, cause(item.problem), ` (${item.problem.code})`),
    todo ? element("p", {}, todo) : null,
    element("p", { class: "report-fine" }, `${item.model.name} ${item.model.version}`),
  ];
}

function images(item) {
  if (!item.size) return element("p", { class: "report-image" }, text("view.unshowable"));
  const heat = heatmapUrl(item);
  const caption = [item.asked && !heat ? regionText(item.asked) : "", heatmapText(item)].filter(Boolean).join(" ");
  return element(
    "figure",
    { class: item.size.width < 400 ? "report-image small" : "report-image" },
    picture(item, null),
    heat ? picture(item, heat) : null,
    caption ? element("figcaption", {}, caption) : null,
  );
}

function picture(item, heat) {
  const { width, height } = item.size;
  const circle = item.asked && { cx: item.asked.x + 0.5, cy: item.asked.y + 0.5, r: item.asked.radius };
  const ring = (name) => drawing("circle", { ...circle, class: name, fill: "none", "vector-effect": "non-scaling-stroke" });
  return element(
    "div",
    { class: "report-stage" },
    element("img", { src: item.shownUrl ?? item.url, alt: "" }),
    heat ? element("img", { class: "report-heat", src: heat, alt: "" }) : null,
    circle ? drawing("svg", { viewBox: `0 0 ${width} ${height}` }, ring("region-under"), ring("region-circle")) : null,
  );
}

function foot() {
  const line = (key) => element("p", { class: "report-line" }, text(key));
  return element("footer", {}, line("report.reader"), line("report.signature"), element("p", {}, text("notice")));
}
