"""Results as text: for people, as JSON lines and as CSV."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

from edge_runtime.bundle.policy import SitePolicyId
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.verdict import SITE_WITH_POLICY, Reason
from edge_runtime.images.region import region_name
from edge_runtime.inference.prediction import NOTICE, BurntInText, Failure, Fallback, Prediction
from edge_runtime.platform.escaped_names import shown, shown_cell

_WHY = {
    Reason.ABOVE_CUTOFF: "the score reaches the cut-off",
    Reason.BELOW_CUTOFF: "the score stays below the cut-off",
    Reason.LOW_CONFIDENCE: "no label reaches the confidence floor; a person should look",
    Reason.PRECISION_RERUN: "int8 was too close to a threshold, so the float32 model decided",
    Reason.UNFAMILIAR_INPUT: "not like the images this model was made for; its scores are not valid",
}
BURNT_IN = {
    BurntInText.PERMITTED: "inside the classified region; by Burned In Annotation NO, it identifies nobody",
}
FALLBACKS = {
    Fallback.KNOWN_ANSWERS_DIFFER: "fallback to float32: the int8 logits differ on this machine from the known ones"
}
_REGION = "region"  # a column after the image, for models that require regions
_COLUMNS = (
    *("image", "model", "version", "label", "score", "confidence", "cutoff", "confidence_floor", "decision", "reason"),
    *(
        "contract",
        "backend",
        "precision",
        "error_code",
        "error_message",
        "familiarity",
        "fallback",
        "site",
        "site_policy",
    ),
)


def site_text(policy: SitePolicyId | None) -> str:
    """Return whether the cut-off was calibrated at the site, and by which site policy."""
    site = SITE_WITH_POLICY[policy is not None].value
    if policy is None:
        return f"{site}: cut-off not chosen at this site"
    return f"{site}: site policy {policy}, SHA-256 {policy.sha256[:16]}"


def _site(policy: SitePolicyId | None) -> str:
    return SITE_WITH_POLICY[policy is not None].value + ("" if policy is None else f" (site policy {policy})")


class Style(enum.Enum):
    """Output formats."""

    CARD = "card"  # a block of lines for a single image
    TABLE = "table"  # one line per image
    JSON = "json"
    CSV = "csv"


class Renderer(Protocol):
    """Formats results as text. ``head`` and ``foot`` may be empty; ``end`` is printed after each text."""

    @property
    def end(self) -> str: ...

    def head(self, spec: ModelSpec, site_policy: SitePolicyId | None = None) -> str: ...
    def line(self, answer: Prediction | Failure) -> str: ...
    def foot(self) -> str: ...


class JsonRenderer:
    """One JSON object per line (docs/reference/json.md)."""

    end = "\n"

    def head(self, spec: ModelSpec, site_policy: SitePolicyId | None = None) -> str:
        return ""

    def line(self, answer: Prediction | Failure) -> str:
        from edge_runtime.results.lines import to_line  # imported here, as csv below: a card needs neither

        return to_line(answer)

    def foot(self) -> str:
        return ""


class CsvRenderer:
    """RFC 4180 with a header line. A failed image has its error in the two error columns.

    Names are escaped, and no cell starts a formula (docs/reference/json.md), in case a spreadsheet opens the file.
    """

    end = "\r\n"

    def head(self, spec: ModelSpec, site_policy: SitePolicyId | None = None) -> str:
        return _csv_row(_columns(spec.region is not None))

    def line(self, answer: Prediction | Failure) -> str:
        fields = {name: _cell(value) for name, value in answer.to_dict().items()}
        if isinstance(answer, Failure):
            fields |= {"error_code": answer.error.code, "error_message": _cell(answer.error.message)}
        elif _is_unfamiliar(answer):
            fields |= dict.fromkeys(("label", "score", "confidence"), "")
        if isinstance(answer, Prediction) and answer.site_policy is not None:
            fields["site_policy"] = f"{answer.site_policy} {answer.site_policy.sha256}"
        if answer.region is not None:
            fields[_REGION] = str(answer.region)  # x,y,radius, as for --region
        return _csv_row([fields.get(name, "") for name in _columns(answer.region is not None)])

    def foot(self) -> str:
        return ""


def _columns(regions: bool) -> tuple[str, ...]:
    return (_COLUMNS[0], _REGION, *_COLUMNS[1:]) if regions else _COLUMNS


def _csv_row(values: Sequence[object]) -> str:
    import csv
    import io

    text = io.StringIO()
    # with another line terminator, some Python versions do not quote "\r\n" inside a cell
    csv.writer(text, lineterminator=CsvRenderer.end).writerow(values)
    return text.getvalue().removesuffix(CsvRenderer.end)


def _cell(value: object) -> object:
    return shown_cell(value) if isinstance(value, str) else value


def _is_unfamiliar(answer: Prediction) -> bool:
    """Return whether the image is out-of-distribution, so that label and scores are not shown. JSON keeps them."""
    return answer.verdict.reason is Reason.UNFAMILIAR_INPUT


class CardRenderer:
    """A block of lines for one image."""

    end = "\n"

    def head(self, spec: ModelSpec, site_policy: SitePolicyId | None = None) -> str:
        return ""

    def line(self, answer: Prediction | Failure) -> str:
        if isinstance(answer, Failure):
            return _failed(answer)
        verdict, region = answer.verdict, answer.region
        return "\n".join(
            [
                f"image     {shown(answer.image)}",
                *([] if region is None else [f"region    x {region.x:g}, y {region.y:g}, radius {region.radius:g} px"]),
                f"model     {answer.model} {answer.version} ({answer.precision}, {answer.backend})",
                *([] if answer.fallback is None else [f"          {FALLBACKS[answer.fallback]}"]),
                *_scores(answer),
                f"site      {site_text(answer.site_policy)}",
                *([] if answer.burnt_in_text is None else [f"text      {BURNT_IN[answer.burnt_in_text]}"]),
                *([] if answer.familiarity is None else [_familiarity(answer.familiarity, answer)]),
                f"decision  {verdict.decision.value}",
                f"reason    {verdict.reason.value}: {_WHY[verdict.reason]}",
            ]
        )

    def foot(self) -> str:
        return NOTICE


def _scores(answer: Prediction) -> list[str]:
    """Return the lines of label, scores and thresholds; for an out-of-distribution image, that there are none."""
    if _is_unfamiliar(answer):
        return ["label     none: the scores of an out-of-distribution image are not valid"]
    verdict = answer.verdict
    scores = ", ".join(f"{label} {score:.4f}" for label, score in verdict.scores.items())
    return [
        f"label     {verdict.label}   ({scores})",
        f"score     {verdict.score:.4f}   cut-off {answer.cutoff:.4f}",
        f"          confidence {verdict.confidence:.4f}, floor {answer.confidence_floor:.4f}",
    ]


def _familiarity(share: float, answer: Prediction) -> str:
    """Return the line of the out-of-distribution check."""
    like = "NOT like" if _is_unfamiliar(answer) else "like"
    return f"familiar  {like} the images this model was made for (distance {share:.2f} times the limit)"


class TableRenderer:
    """A header and one line per image."""

    end = "\n"

    def head(self, spec: ModelSpec, site_policy: SitePolicyId | None = None) -> str:
        policy = spec.policy
        return (
            f"model {spec.name} {spec.version}: {spec.summary}\n"
            f"cut-off {policy.cutoff:.4f}, confidence floor {policy.confidence_floor:.4f}, site {_site(site_policy)}\n"
            f"{'decision':9} {'score':>6}  {'label':12} {'reason':16} image"
        )

    def line(self, answer: Prediction | Failure) -> str:
        if isinstance(answer, Failure):
            return _failed(answer)
        v, name = answer.verdict, shown(region_name(answer.image, answer.region))
        score, label = ("-", "-") if _is_unfamiliar(answer) else (f"{v.score:.4f}", v.label)
        return f"{v.decision.value:9} {score:>6}  {label:12} {v.reason.value:16} {name}"

    def foot(self) -> str:
        return NOTICE


def _failed(failure: Failure) -> str:
    name = shown(region_name(failure.image, failure.region))
    return f"FAILED    {name}\n          [{failure.error.code}] {shown(failure.error.message)}"


def renderer(style: Style) -> Renderer:
    """Return the renderer of a style."""
    return _RENDERERS[style]


_RENDERERS: dict[Style, Renderer] = {
    Style.CARD: CardRenderer(),
    Style.TABLE: TableRenderer(),
    Style.JSON: JsonRenderer(),
    Style.CSV: CsvRenderer(),
}
