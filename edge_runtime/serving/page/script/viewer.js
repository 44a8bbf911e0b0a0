// The image on show, its heatmap and, where the model wants one, the marked region.

import { number, text } from "./catalogue.js";
import { element, setVariable, show, shown } from "./dom.js";
import { pngOfPnm } from "./pnm.js";
import { regionText } from "./phrases.js";
import { RegionFields } from "./region_fields.js";
import { RegionMarker } from "./region_marker.js";

const OPACITY = 50; // percent

export class Viewer {
  #session;
  #item = null;
  #opacity = OPACITY;
  #parts;
  #marker;
  #fields;

  constructor(place, session) {
    this.#session = session;
    const mark = (region) => this.#item && session.mark(this.#item, region);
    const send = () => this.#item && session.send(this.#item);
    this.#marker = new RegionMarker({ mark, send });
    this.#fields = new RegionFields({ mark, send });
    this.#parts = this.#built();
    place.append(this.#parts.name, this.#parts.stage, this.#parts.heat, this.#parts.empty, this.#fields.node);
    this.#parts.image.addEventListener("load", () => this.#loaded());
    this.#parts.image.addEventListener("error", () => void this.#unshowable());
  }

  /** Draw the session's current item. */
  render() {
    const item = this.#session.current;
    if (item !== this.#item) this.#open(item);
    const { name, stage, heat, empty } = this.#parts;
    show(name, item !== null);
    show(stage, item !== null);
    show(empty, item === null);
    empty.textContent = text("view.empty");
    show(heat, Boolean(item?.heatmap) && item.size !== null);
    if (item) this.#describe(item);
    this.#marker.render(item);
    this.#fields.render(item);
  }

  #built() {
    const image = element("img", { class: "stage-image", alt: "" });
    const overlay = element("img", { class: "stage-heat", alt: "", hidden: true });
    const failed = element("p", { class: "stage-failed", hidden: true });
    const slider = element("input", { type: "range", id: "opacity", min: 0, max: 100, value: this.#opacity });
    slider.addEventListener("input", () => this.#fade(Number(slider.value)));
    const label = element("label", { for: "opacity" });
    const low = element("span");
    const high = element("span");
    const legend = element("div", { class: "heat-legend" }, low, element("span", { class: "heat-bar" }), high);
    const method = element("p", { class: "muted" });
    const share = element("output", { for: "opacity", class: "number" });
    const heat = element("div", { class: "heat", hidden: true }, element("div", { class: "heat-row" }, label, slider, share, legend), method);
    const stage = element("div", { class: "stage", hidden: true }, image, overlay, this.#marker.node, failed);
    const name = element("p", { class: "image-name", hidden: true }, element("bdi"), element("span", { class: "muted" }));
    return { image, overlay, failed, slider, label, low, high, method, share, heat, stage, name, empty: element("p", { class: "empty" }) };
  }

  #open(item) {
    this.#item = item;
    const { image, stage, failed } = this.#parts;
    show(failed, false);
    stage.classList.remove("unshowable");
    if (item) image.src = item.shownUrl ?? item.url;
    else image.removeAttribute("src");
  }

  #describe(item) {
    const { image, overlay, name, failed, label, low, high, method } = this.#parts;
    name.firstChild.textContent = shown(item.name);
    name.lastChild.textContent = item.size ? `${item.size.width} × ${item.size.height} px` : "";
    image.alt = text("view.alt", { name: shown(item.name) });
    failed.textContent = text("view.unshowable");
    const heat = heatmapUrl(item);
    show(overlay, heat !== null && item.size !== null);
    if (heat !== null && overlay.getAttribute("src") !== heat) overlay.src = heat;
    overlay.alt = text("heat.alt");
    label.textContent = text("heat.opacity");
    low.textContent = text("heat.low");
    high.textContent = text("heat.high");
    method.textContent = heatmapText(item);
    this.#fade(this.#opacity);
  }

  #fade(percent) {
    this.#opacity = percent;
    this.#parts.overlay.style.opacity = String(percent / 100);
    this.#parts.share.textContent = `${number(percent, 0)} %`;
  }

  #loaded() {
    const { image, stage } = this.#parts;
    if (!this.#item) return;
    this.#item.size = { width: image.naturalWidth, height: image.naturalHeight };
    setVariable(stage, "--width", image.naturalWidth);
    setVariable(stage, "--height", image.naturalHeight);
    stage.classList.toggle("small", image.naturalWidth < 400);
    this.render();
  }

  async #unshowable() {
    const item = this.#item;
    if (!item) return;
    const png = item.shownUrl ? null : await pngOfPnm(item.file);
    if (png) item.shownUrl = URL.createObjectURL(png);
    if (item !== this.#item) return;
    if (png) this.#parts.image.src = item.shownUrl;
    else {
      this.#parts.stage.classList.add("unshowable");
      show(this.#parts.failed, true);
    }
    this.render();
  }
}

/** Return the address of an item's heatmap, or null. */
export function heatmapUrl(item) {
  return item.heatmap?.data ? `data:${item.heatmap.media_type};base64,${item.heatmap.data}` : null;
}

/** Return what the heatmap shows, with the region and the float32 model's disagreement. */
export function heatmapText(item) {
  if (!item.heatmap) return "";
  const parts = [text(`heat.${item.heatmap.method}`)];
  if (item.asked) parts.push(regionText(item.asked));
  if (item.heatmap.agrees === false) parts.push(text("heat.disagrees"));
  return parts.join(" ");
}
