// What an item says in words: used by the result, the history, announcements and the report alike.

import { number, shortNumber, text, textOfCode } from "./catalogue.js";
import { shown } from "./dom.js";
import { State } from "./session.js";

export const UNFAMILIAR = "UNFAMILIAR_INPUT";

/** Return whether an answer is about an unfamiliar image, whose label and scores are not valid. */
export const unfamiliar = (answer) => answer.reason === UNFAMILIAR;

/** Return the decision in words. */
export const decision = (answer) => textOfCode("decision", answer.decision) ?? answer.decision;

/** Return the reason in words. */
export const reason = (answer) => textOfCode("reason", answer.reason) ?? answer.reason;

/** Return what went wrong; the service's own message if the catalogue does not know the code. */
export function cause(problem) {
  return textOfCode("error", problem.code) ?? (problem.message || text("error.unknown", { code: problem.code }));
}

/** Return what to do about it, or null. */
export function remedy(problem) {
  if (problem.retryAfter !== null) return text("remedy.retry_after", { seconds: problem.retryAfter });
  return textOfCode("remedy", problem.code);
}

/** Return whether the image itself was refused, so that the same request fails again. */
export const refused = (problem) => problem.code.startsWith("image_");

/** Return the state of an item in one word or two. */
export function outcome(item) {
  if (item.state === State.ANSWERED) return decision(item.answer);
  if (item.state === State.FAILED) return text(refused(item.problem) ? "state.refused" : "state.failed");
  return text(`state.${item.state}`);
}

/** Return the reason of an item's outcome: the answer's reason or the problem's cause. */
export function why(item) {
  if (item.state === State.ANSWERED) return reason(item.answer);
  return item.state === State.FAILED ? cause(item.problem) : "";
}

/** Return the score with its cut-off, or a dash where a score says nothing. */
export function scoreText(item) {
  if (item.state !== State.ANSWERED || unfamiliar(item.answer)) return "–";
  return number(item.answer.score);
}

/** Return a region in words. */
export function regionText(region) {
  const parts = { x: shortNumber(region.x), y: shortNumber(region.y), radius: shortNumber(region.radius) };
  return text("region.text", parts);
}

/** Return what a screen reader says when an item has its outcome. */
export const announcement = (item) => `${shown(item.name)}: ${outcome(item)}. ${why(item)}`;
