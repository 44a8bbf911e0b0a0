// The page: what happens when, and what is drawn again then.

import { renderBanner } from "./banner.js";
import { LANGUAGES, preferred, speak, text } from "./catalogue.js";
import { csv } from "./csv.js";
import { byId, element, show } from "./dom.js";
import { History } from "./history.js";
import { listen, nameOf } from "./intake.js";
import { Models } from "./models.js";
import { announcement } from "./phrases.js";
import { drawn, writeReport } from "./report.js";
import { renderResult } from "./result.js";
import { Problem, Service } from "./service.js";
import { Session, State } from "./session.js";
import { followTheme } from "./theme.js";
import { Viewer } from "./viewer.js";

const service = new Service();
const session = new Session(service);
const models = new Models(service, render);
const viewer = new Viewer(byId("viewer"), session);
const history = new History(byId("history"), session);
let failing = null; // why the models could not be had: "connection" or "token"
let prepared = false; // whether the report is written and its images are decoded
let saved = true; // whether every outcome is in a CSV or a report

session.wantsHeatmap = (model) => byId("want-heatmap").checked && models.heatmaps(model) !== false;

function render() {
  models.render();
  viewer.render();
  renderResult(byId("result"), session);
  history.render();
  const halted = failing ?? session.halted;
  renderBanner(byId("banner"), halted, { items: session.items, resume, useToken });
  const some = session.items.some(hasOutcome);
  byId("csv").disabled = byId("print").disabled = !some;
  byId("clear").disabled = session.items.length === 0;
  renderSteps();
  renderAgain();
}

function renderSteps() {
  const { items, current } = session;
  const place = items.indexOf(current) + 1;
  show(byId("view-steps"), items.length > 1);
  byId("position").textContent = text("view.position", { place, count: items.length });
  byId("previous").disabled = place <= 1;
  byId("next").disabled = place >= items.length;
}

function renderAgain() {
  const { current } = session;
  const other = Boolean(current && models.chosen && current.model.name !== models.chosen.name);
  show(byId("again-with"), other);
  if (other) byId("again-with").textContent = text("model.again", { model: models.chosen.name });
}

const hasOutcome = (item) => item.state === State.ANSWERED || item.state === State.FAILED;

function take(files) {
  if (!models.chosen) return;
  const before = session.items.length;
  files.forEach((file, place) => session.add(file, models.chosen, nameOf(file, before + place + 1)));
  if (files.length > 1) session.show(session.items[before]);
  if (files.length > 0) byId("view-title").scrollIntoView({ block: "nearest" });
}

async function start() {
  failing = null;
  try {
    await models.load();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    failing = error.status === 401 ? "token" : "connection";
  }
  render();
}

function resume() {
  if (failing) void start();
  session.resume();
}

function useToken(token) {
  service.useToken(token);
  resume();
}

async function print() {
  writeReport(byId("report"), session.items);
  await drawn(byId("report"));
  saved = prepared = true;
  window.print();
  prepared = false;
}

function download() {
  const url = URL.createObjectURL(new Blob(["\ufeff", csv(session.items)], { type: "text/csv;charset=utf-8" }));
  element("a", { href: url, download: "edge-predict.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  saved = true;
}

async function useLanguage(language) {
  await speak(language);
  byId("language").value = language;
  render();
}

session.addEventListener("change", ({ detail: item }) => {
  if (item && hasOutcome(item)) {
    saved = false;
    byId("status").textContent = announcement(item);
  }
  render();
});
listen(take);
followTheme(byId("theme"));
byId("previous").addEventListener("click", () => session.move(-1));
byId("next").addEventListener("click", () => session.move(1));
byId("again-with").addEventListener("click", () => session.add(session.current.file, models.chosen, session.current.name));
byId("csv").addEventListener("click", download);
byId("print").addEventListener("click", () => void print());
byId("clear").addEventListener("click", () => byId("confirm").showModal());
byId("confirm-no").addEventListener("click", () => byId("confirm").close());
byId("confirm-yes").addEventListener("click", () => {
  session.clear();
  byId("confirm").close();
});
byId("language").append(...Object.entries(LANGUAGES).map(([code, name]) => element("option", { value: code, lang: code }, name)));
byId("language").addEventListener("change", (event) => void useLanguage(event.target.value));
window.addEventListener("beforeprint", () => {
  if (!prepared) writeReport(byId("report"), session.items); // printed from the browser's own menu
});
window.addEventListener("beforeunload", (event) => {
  if (!saved && session.items.length > 0) event.preventDefault();
});

await useLanguage(preferred());
await start();
