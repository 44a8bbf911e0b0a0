// The decision on the image on show, with its reason and what it rests on; or why there is none.

import { clock, number, shortNumber, text, textOfCode } from "./catalogue.js";
import { drawing, element, shown } from "./dom.js";
import { cause, decision, reason, refused, regionText, remedy, unfamiliar } from "./phrases.js";
import { scale } from "./scale.js";
import { State } from "./session.js";

const FARTHEST = 2; // right end of the scale of distances; the limit is 1

/** Draw the session's current item into `place`. */
export function renderResult(place, session) {
  const item = session.current;
  place.replaceChildren(...(item ? parts(item, session) : [element("p", { class: "empty" }, text("result.empty"))]));
}

function parts(item, session) {
  switch (item.state) {
    case State.MARK:
      return [element("p", { class: "empty" }, text("result.mark"))];
    case State.WAITING:
      return [element("p", { class: "empty" }, text(session.halted ? "result.halted" : "result.waiting"))];
    case State.RUNNING:
      return [running(item, session)];
    case State.FAILED:
      return [failure(item, session)];
    default:
      return answer(item);
  }
}

function running(item, session) {
  const cancel = element("button", { type: "button", onclick: () => session.cancel(item) }, text("result.cancel"));
  return element("div", { class: "running" }, element("div", { class: "progress", "aria-hidden": "true" }), element("p", {}, text("result.running")), cancel);
}

function failure(item, session) {
  const { problem } = item;
  const todo = remedy(problem);
  const said = problem.message && problem.message !== cause(problem) ? problem.message : null;
  return element(
    "div",
    { class: "failure" },
    element("p", { class: "plate plate-failed" }, glyph("failed"), text(refused(problem) ? "state.refused" : "state.failed")),
    element("p", { class: "reason" }, cause(problem)),
    todo && element("p", {}, element("strong", {}, `${text("result.todo")} `), todo),
    element("div", { class: "actions" }, element("button", { type: "button", onclick: () => session.send(item) }, text("result.retry"))),
    details([
      [text("detail.code"), problem.code],
      said && [text("detail.message"), element("span", { lang: "en" }, shown(said))],
      [text("detail.model"), `${item.model.name} ${item.model.version}`],
      item.asked && [text("detail.region"), regionText(item.asked)],
    ]),
  );
}

function answer(item) {
  const found = item.answer;
  return [
    element("p", { class: `plate plate-${found.decision.toLowerCase()}` }, glyph(found.decision.toLowerCase()), decision(found)),
    element("p", { class: "reason" }, reason(found), " ", element("code", {}, found.reason)),
    ...(unfamiliar(found) ? [element("p", { class: "attention" }, text("result.no_scores"))] : scores(found)),
    distance(found),
    site(found),
    details(facts(item)),
  ].filter(Boolean);
}

/** Return the scales of an answer: score against cut-off, and confidence where the model has a floor for it. */
export function scores(found) {
  const value = number(found.score);
  const blocks = [
    block(
      text("score.title"),
      value,
      scale({ value: found.score, limit: found.cutoff, top: 1, limitName: text("score.limit"), label: text("score.label", { value, limit: number(found.cutoff) }) }),
    ),
  ];
  if (found.confidence_floor > 0) {
    const confidence = number(found.confidence);
    const label = text("confidence.label", { value: confidence, limit: number(found.confidence_floor) });
    const drawn = scale({ value: found.confidence, limit: found.confidence_floor, top: 1, limitName: text("confidence.limit"), label });
    blocks.push(block(text("confidence.title"), confidence, drawn));
  }
  const labels = Object.entries(found.scores).map(([label, score]) => `${label} ${number(score)}`);
  return [...blocks, element("p", { class: "muted labels" }, `${text("score.all")} `, element("span", { lang: "en" }, labels.join(" · ")))];
}

/** Return the scale of the out-of-distribution check, or null for a model without one. */
export function distance(found) {
  if (found.familiarity === undefined) return null;
  const value = number(found.familiarity, 2);
  const drawn = scale({ value: found.familiarity, limit: 1, top: FARTHEST, decimals: 0, limitName: text("distance.limit"), label: text("distance.label", { value }) });
  if (found.familiarity > 1) drawn.classList.add("beyond");
  const said = text(found.familiarity > 1 ? "distance.unlike" : "distance.like");
  return block(text("distance.title"), value, drawn, element("p", { class: "muted" }, said));
}

function site(found) {
  const said = siteText(found);
  return said ? element("p", { class: "note" }, element("strong", {}, `${text("site.title")} `), said) : null;
}

/** Return whether the cut-off was calibrated at the site, and by which site policy; nothing for older answers. */
export function siteText(found) {
  const said = found.site && textOfCode("site", found.site);
  const policy = found.site_policy;
  return said && policy ? `${said} ${text("site.policy", { name: `${policy.name} ${policy.version}`, sha256: policy.sha256.slice(0, 16) })}` : said;
}

function block(title, value, ...rest) {
  const head = element("div", { class: "measure-head" }, element("h3", {}, title), element("span", { class: "measure-value" }, value));
  return element("div", { class: "measure" }, head, ...rest);
}

function facts(item) {
  const found = item.answer;
  const time = Object.values(found.ms).reduce((sum, each) => sum + each, 0);
  return [
    [text("detail.model"), `${found.model} ${found.version}`],
    [text("detail.precision"), `${found.precision}, ${found.backend}`],
    found.fallback && [text("detail.fallback"), textOfCode("fallback", found.fallback) ?? found.fallback],
    item.asked && [text("detail.region"), regionText(item.asked)],
    [text("detail.time"), text("detail.took", { clock: clock(item.at), ms: shortNumber(time) })],
    [text("detail.sha256"), element("code", { class: "hash" }, found.sha256)],
    [text("detail.bundle"), element("code", { class: "hash" }, found.bundle)],
    [text("detail.contract"), element("code", { class: "hash" }, found.contract)],
  ];
}

function details(rows) {
  const list = rows.filter(Boolean).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  return element("details", { class: "details" }, element("summary", {}, text("result.details")), element("dl", {}, ...list));
}

/** Return the sign of an outcome, so that colour never stands alone: full, empty and half circle, and a cross. */
export function glyph(kind) {
  const paths = { positive: "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16Z", negative: "", refer: "M12 4a8 8 0 0 1 0 16Z", failed: "M7 7l10 10M17 7 7 17" };
  const ring = kind === "failed" ? null : drawing("circle", { cx: 12, cy: 12, r: 8, class: "glyph-ring" });
  return drawing("svg", { class: `glyph glyph-${kind}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, ring, drawing("path", { d: paths[kind] }));
}
