// The circle on the image: drawn, moved and resized with a pointer or with keys.

import { text } from "./catalogue.js";
import { byId, drawing, settled } from "./dom.js";
import { regionText } from "./phrases.js";
import { afterKey, around, first, fitted, square } from "./region.js";

const EDGE_PX = 12; // of the screen: how near to the circle's line a press changes the radius
const CLICK_PX = 4; // of the screen: a shorter drag is a click

export class RegionMarker {
  node;
  #item = null;
  #mark;
  #send;
  #shapes;
  #drag = null;
  #announce = settled((region) => {
    this.#status(regionText(region));
  }, 400);

  constructor({ mark, send }) {
    this.#mark = mark;
    this.#send = send;
    this.#shapes = shapes();
    const { seen, under, circle, cross, handle } = this.#shapes;
    this.node = drawing("svg", { class: "stage-region", tabindex: 0, role: "application", hidden: true }, seen, under, circle, cross, handle);
    this.node.addEventListener("keydown", (event) => this.#key(event));
    this.node.addEventListener("pointerdown", (event) => this.#press(event));
    this.node.addEventListener("pointermove", (event) => this.#move(event));
    this.node.addEventListener("pointerup", (event) => this.#release(event));
    this.node.addEventListener("pointercancel", () => (this.#drag = null));
  }

  render(item) {
    this.#item = item;
    const ready = Boolean(item?.model.region && item.size);
    this.node.toggleAttribute("hidden", !ready);
    if (!ready) return;
    const { width, height } = item.size;
    this.node.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.node.setAttribute("aria-label", `${text("region.label")} ${item.region ? regionText(item.region) : text("region.none")}`);
    this.node.setAttribute("aria-roledescription", text("region.role"));
    this.#draw(item.region, item.model.region, Math.max(width, height));
  }

  #draw(region, crop, longer) {
    const { seen, under, circle, cross, handle } = this.#shapes;
    for (const shape of Object.values(this.#shapes)) shape.toggleAttribute("hidden", region === null);
    if (region === null) return;
    const [x, y] = [region.x + 0.5, region.y + 0.5]; // of the drawing, in which a pixel's centre lies at a half
    for (const shape of [under, circle]) set(shape, { cx: x, cy: y, r: region.radius });
    const arm = longer / 80;
    set(cross, { d: `M${x - arm} ${y}H${x + arm}M${x} ${y - arm}V${y + arm}` });
    set(handle, { cx: x + region.radius, cy: y, r: longer / 110 });
    const known = typeof crop === "object";
    seen.toggleAttribute("hidden", !known);
    if (known) {
      const { left, top, side } = square(region, crop);
      set(seen, { x: left, y: top, width: side, height: side });
    }
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { region, size } = this.#item;
    if (event.key === "Enter") this.#send();
    else if (event.key === "Escape" && region) this.#mark(null);
    else {
      const start = region ?? first(size);
      const next = region ? afterKey(region, size, event.key, event.shiftKey) : afterKey(start, size, event.key, true) && start;
      if (!next) return;
      this.#mark(next);
      this.#announce(next);
    }
    event.preventDefault();
  }

  #press(event) {
    if (event.button !== 0) return;
    const at = this.#place(event);
    const region = this.#item.region;
    const off = region ? distance(at, region) : Infinity;
    const edge = EDGE_PX * at.scale;
    const kind = region && Math.abs(off - region.radius) <= edge ? "resize" : off < (region?.radius ?? 0) ? "move" : "new";
    this.#drag = { kind, at, from: region, moved: false };
    this.node.setPointerCapture(event.pointerId);
    this.node.focus({ preventScroll: true });
    event.preventDefault();
  }

  #move(event) {
    if (!this.#drag) return;
    const at = this.#place(event);
    const { kind, at: start, from } = this.#drag;
    if (distance(at, start) > CLICK_PX * at.scale) this.#drag.moved = true;
    if (!this.#drag.moved) return;
    const next = {
      new: () => ({ x: start.x, y: start.y, radius: distance(at, start) }),
      move: () => ({ x: from.x + at.x - start.x, y: from.y + at.y - start.y, radius: from.radius }),
      resize: () => ({ ...from, radius: distance(at, from) }),
    }[kind]();
    this.#mark(fitted(next, this.#item.size));
  }

  #release() {
    const { kind, at, from, moved } = this.#drag ?? { moved: true };
    this.#drag = null;
    if (moved || kind !== "new") return;
    this.#mark(from ? fitted({ ...from, x: at.x, y: at.y }, this.#item.size) : around(this.#item.size, at));
  }

  /** Return where the pointer is, in pixels of the image, and how many of them one pixel of the screen has. */
  #place(event) {
    const box = this.node.getBoundingClientRect();
    const scale = this.#item.size.width / box.width;
    return { x: (event.clientX - box.left) * scale - 0.5, y: (event.clientY - box.top) * scale - 0.5, scale };
  }

  #status(said) {
    byId("status").textContent = said;
  }
}

function shapes() {
  const line = (tag, name) => drawing(tag, { class: name, fill: "none", "vector-effect": "non-scaling-stroke" });
  return {
    seen: line("rect", "region-seen"),
    under: line("circle", "region-under"),
    circle: line("circle", "region-circle"),
    cross: line("path", "region-cross"),
    handle: drawing("circle", { class: "region-handle" }),
  };
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

function distance(one, other) {
  return Math.hypot(one.x - other.x, one.y - other.y);
}
