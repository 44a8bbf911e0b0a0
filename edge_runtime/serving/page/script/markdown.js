// A model card, written in the few forms of Markdown that cards use, as elements. No markup of the card is interpreted.

import { element } from "./dom.js";

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*/g;

/** Return the elements of a card. A heading of level n becomes one of level n + 1, below the dialog's title. */
export function rendered(markdown) {
  return markdown.replaceAll("\r\n", "\n").split(/\n{2,}/).filter((part) => part.trim() !== "").map(block);
}

function block(part) {
  const lines = part.trim().split("\n");
  const heading = /^(#{1,4}) (.*)$/.exec(lines[0]);
  if (heading) {
    const title = element(`h${heading[1].length + 1}`, {}, ...inline(heading[2]));
    if (lines.length === 1) return title;
    return element("div", {}, title, block(lines.slice(1).join("\n")));
  }
  if (lines.every((line) => line.startsWith("|"))) return table(lines);
  if (lines.every((line) => line.startsWith("- "))) return list("ul", lines, /^- /);
  if (lines.every((line) => /^\d+\. /.test(line))) return list("ol", lines, /^\d+\. /);
  return element("p", {}, ...inline(lines.join(" ")));
}

function list(tag, lines, bullet) {
  return element(tag, {}, ...lines.map((line) => element("li", {}, ...inline(line.replace(bullet, "")))));
}

function table([head, , ...rows]) {
  const cells = (line) => line.replace(/^\||\|\s*$/g, "").split("|").map((cell) => cell.trim());
  const row = (line) => {
    const [first, ...rest] = cells(line);
    return element("tr", {}, element("th", { scope: "row" }, ...inline(first)), ...rest.map((cell) => element("td", {}, ...inline(cell))));
  };
  const columns = cells(head).map((cell) => (cell ? element("th", { scope: "col" }, ...inline(cell)) : element("td")));
  const drawn = element("table", {}, element("thead", {}, element("tr", {}, ...columns)), element("tbody", {}, ...rows.map(row)));
  return element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": cells(head).filter(Boolean).join(", ") }, drawn);
}

function inline(line) {
  const parts = [];
  let done = 0;
  for (const found of line.matchAll(INLINE)) {
    parts.push(line.slice(done, found.index));
    const [whole, code, strong, emphasis] = found;
    if (code) parts.push(element("code", {}, code));
    else parts.push(element(strong ? "strong" : "em", {}, strong ?? emphasis));
    done = found.index + whole.length;
  }
  return [...parts, line.slice(done)].filter((part) => part !== "");
}
