// A value on a line with its limit: score against cut-off, distance against its limit.

import { number } from "./catalogue.js";
import { element, setVariable } from "./dom.js";

/**
 * Return a drawn scale. It is one image to a screen reader, named by `label`.
 *
 * @param {{value: number, limit: number, top: number, label: string, limitName: string, decimals?: number}} given
 *   `top` is the right end of the scale, 0 the left; a larger value is drawn at the right end.
 */
export function scale({ value, limit, top, label, limitName, decimals = 3 }) {
  const share = (of) => Math.min(Math.max(of / top, 0), 1);
  const node = element(
    "div",
    { class: value >= limit ? "scale reached" : "scale", role: "img", "aria-label": label },
    element("div", { class: "scale-line" }, element("div", { class: "scale-fill" }), element("div", { class: "scale-limit" })),
    element(
      "div",
      { class: "scale-names" },
      element("span", {}, "0"),
      element("span", { class: "scale-name" }, `${limitName} ${number(limit, decimals)}`),
      element("span", {}, value > top ? `> ${top}` : String(top)),
    ),
  );
  setVariable(node, "--value", share(value));
  return setVariable(node, "--limit", share(limit));
}
