// The history as CSV, with the columns of `edge-predict --csv` and the time of each answer.

import { shown } from "./dom.js";
import { unfamiliar } from "./phrases.js";
import { State } from "./session.js";

export const COLUMNS = [
  ...["image", "region", "model", "version", "label", "score", "confidence", "cutoff", "confidence_floor", "decision", "reason"],
  ...["contract", "backend", "precision", "error_code", "error_message", "familiarity", "fallback", "site", "site_policy", "sha256", "time"],
];

/** Where a spreadsheet could start a formula: edge_runtime.platform.escaped_names.shown_cell has the same rule. */
const FORMULA = /(^|;)(\s*["']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])/g;

/** Return RFC 4180 text: a header and a line for each item that has an outcome. */
export function csv(items) {
  const lines = items.filter((item) => item.state === State.ANSWERED || item.state === State.FAILED).map(line);
  return [COLUMNS.join(","), ...lines].map((each) => `${each}\r\n`).join("");
}

/** Return text as a cell that no spreadsheet reads as a formula. */
export function cell(value) {
  if (typeof value !== "string") return value === undefined || value === null ? "" : String(value);
  const safe = shown(value).replace(FORMULA, "$1'$2");
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function line(item) {
  const fields = item.state === State.ANSWERED ? answerFields(item.answer) : failureFields(item);
  fields.image = item.name;
  fields.region = item.asked ? [item.asked.x, item.asked.y, item.asked.radius].join(",") : "";
  return COLUMNS.map((name) => cell(fields[name])).join(",");
}

function answerFields(answer) {
  const policy = answer.site_policy;
  const fields = { ...answer, site_policy: policy ? `${policy.name} ${policy.version} ${policy.sha256}` : "" };
  return unfamiliar(answer) ? { ...fields, label: "", score: "", confidence: "" } : fields;
}

function failureFields(item) {
  const { model, problem, at } = item;
  return { model: model.name, version: model.version, error_code: problem.code, error_message: problem.message, time: at.toISOString() };
}
