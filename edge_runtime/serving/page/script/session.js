// The images of this session and their answers, in memory alone. One image at a time is sent.

import { Problem } from "./service.js";

/** Return what holds the whole queue up, not one image, until the user has done something; null if nothing does. */
function haltOf(problem) {
  if (problem.code === "connection_lost") return "connection";
  return problem.status === 401 ? "token" : null;
}

export const State = Object.freeze({
  MARK: "mark", // a region is needed first
  WAITING: "waiting",
  RUNNING: "running",
  ANSWERED: "answered",
  FAILED: "failed",
});

/** Events: `change` with the item that changed, or null for the list or the queue. */
export class Session extends EventTarget {
  items = [];
  current = null;
  halted = null; // null, "connection" or "token"
  wantsHeatmap = () => true;
  #service;
  #count = 0;
  #busy = false;

  constructor(service) {
    super();
    this.#service = service;
  }

  /** Add an image file; it is sent at once unless its model needs a region. */
  add(file, model, name = file.name) {
    const item = {
      id: ++this.#count,
      file,
      name,
      model,
      url: URL.createObjectURL(file),
      size: null, // of the decoded image, in pixels, if the browser can show it
      region: null, // as marked
      asked: null, // as sent
      state: model.region ? State.MARK : State.WAITING,
      answer: null,
      heatmap: null,
      problem: null,
      at: null,
      cancel: null,
    };
    this.items.push(item);
    this.show(item);
    void this.#work();
    return item;
  }

  /** Send an item, again or with a new region. */
  send(item) {
    if (item.model.region && !item.region) return;
    item.state = State.WAITING;
    item.problem = null;
    this.#changed(item);
    void this.#work();
  }

  /** Make an item the one on show. */
  show(item) {
    this.current = item;
    this.#changed(null);
  }

  /** Show the item `step` places further on. */
  move(step) {
    const next = this.items[this.items.indexOf(this.current) + step];
    if (next) this.show(next);
  }

  /** Set the marked region of an item; null removes it. */
  mark(item, region) {
    item.region = region;
    this.#changed(item);
  }

  /** Stop waiting for an item that is being answered. */
  cancel(item) {
    item.cancel?.abort();
  }

  remove(item) {
    const place = this.items.indexOf(item);
    item.cancel?.abort();
    this.items.splice(place, 1);
    release(item);
    if (this.current === item) this.current = this.items[Math.min(place, this.items.length - 1)] ?? null;
    this.#changed(null);
  }

  clear() {
    for (const item of this.items) {
      item.cancel?.abort();
      release(item);
    }
    this.items = [];
    this.show(null);
  }

  /** Go on after a lost connection or a missing token. */
  resume() {
    this.halted = null;
    this.#changed(null);
    void this.#work();
  }

  async #work() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let item = this.#next(); item && !this.halted; item = this.#next()) await this.#ask(item);
    } finally {
      this.#busy = false;
    }
  }

  #next() {
    return this.items.find((item) => item.state === State.WAITING);
  }

  async #ask(item) {
    const { model, region, file } = item;
    item.cancel = new AbortController();
    item.state = State.RUNNING;
    this.#changed(item);
    const asked = { model: model.name, region, heatmap: this.wantsHeatmap(model), signal: item.cancel.signal };
    try {
      this.#answered(item, region, await this.#service.predict(file, asked));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#failed(item, region, error);
    }
    item.cancel = null;
    this.#changed(item);
  }

  #answered(item, region, answer) {
    const { heatmap = null, ...rest } = answer;
    Object.assign(item, { state: State.ANSWERED, answer: rest, heatmap, asked: region, problem: null, at: new Date() });
  }

  #failed(item, region, problem) {
    this.halted = haltOf(problem);
    if (this.halted) item.state = State.WAITING;
    else Object.assign(item, { state: State.FAILED, answer: null, heatmap: null, asked: region, problem, at: new Date() });
  }

  #changed(item) {
    this.dispatchEvent(new CustomEvent("change", { detail: item }));
  }
}

function release(item) {
  URL.revokeObjectURL(item.url);
}
