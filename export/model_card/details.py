"""Model details, intended use, factors."""

from __future__ import annotations

from edge_runtime.bundle.manifest import Manifest, TrainingRecord
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import canonical_json
from export.model_card.markdown import section

_ELSEWHERE = (
    "This model was made elsewhere. What it was fitted on, its licence, and how often it is right are its maker's to "
    "state: nothing of that was measured here. Measured was only whether the files answer as the model does."
)


def details(manifest: Manifest) -> str:
    """Say what the model is, what made it, and how to name it."""
    spec, (width, height) = manifest.spec, manifest.spec.size_px
    rows = [
        f"- Name and version: {spec.name} {spec.version}",
        f"- Task: one picture to {len(spec.labels)} labels ({', '.join(spec.labels)}), head {spec.head.value}",
        f"- Input: {width}×{height} px, {'colour' if spec.channels == 3 else 'grey'}; preprocessing contract "
        f"`{manifest.contract}`",
        *(_origin(manifest.training) if manifest.training else [f"- Origin: {_ELSEWHERE}"]),
        f"- Made with: {', '.join(f'{name} {version}' for name, version in manifest.toolchain.items())}",
    ]
    steps = "\n".join(f"{i}. `{canonical_json(step)}`" for i, step in enumerate(spec.steps, start=1))
    return section("Model details", "\n".join(rows), f"What happens to a picture before the network:\n\n{steps}")


def _origin(record: TrainingRecord) -> list[str]:
    return [
        f"- Origin: recipe {record.recipe}, fitted for {record.epochs} epochs",
        f"- Cite: {record.citation}",
        f"- Licence of the data: {record.licence}"
        + ("; **research use only: the terms bind this model too**" if record.research_only else ""),
    ]


def intended(manifest: Manifest) -> str:
    """Say who may ask what, and what is out of scope."""
    spec = manifest.spec
    return section(
        "Intended use",
        f"Trained people ask it about one picture: {spec.summary} Positive: {', '.join(spec.positive)}. Its answer is "
        "a second opinion that can be wrong; POSITIVE, NEGATIVE and REFER are all to be looked at by a person.",
        "Out of scope: diagnosis, screening without a reader, any decision about a person that nobody reviews; other "
        "organs, stains, scanners, magnifications or modalities than those of its data; pictures with a side under "
        f"{spec.min_side_px} px, which are refused.",
        _familiarity(spec),
    )


def _familiarity(spec: ModelSpec) -> str:
    """A release that knows the field says what unfamiliar input is held against."""
    rule = spec.familiarity
    if rule is None:
        return "It does not notice by itself that a picture is of another kind: no familiarity check is part of it."
    distance = f"in {len(rule.mean)} image statistics ({rule.statistics}), is over {rule.limit:g}"
    counts = "How many pictures of other kinds that catches: docs/familiarity.md."
    if rule.whole is not None:
        return (
            "A region is referred where the whole picture that it lies in is unlike those that it was fitted on: where "
            f"its Mahalanobis distance from them, {distance}, or a side is under {rule.whole.least_side_px} px. Give "
            f"the whole picture, not a crop. {counts}"
        )
    return (
        "Pictures unlike those that it was fitted on are referred: those whose Mahalanobis distance from them, "
        f"{distance}. {counts}"
    )


def factors(manifest: Manifest) -> str:
    """Name what the data say of their pictures, and what they do not."""
    traits: dict[str, list[str]] = {}
    for evaluation in manifest.evaluations:
        for found in evaluation.subgroups:
            values = traits.setdefault(found.trait, [])
            if found.value not in values:
                values.append(found.value)
    told = "; ".join(f"{trait} ({', '.join(values)})" for trait, values in traits.items())
    return section(
        "Factors",
        f"Figures are given by: {told}." if told else "No figure by subgroup exists.",
        "Age, ethnicity, scanner and site of the patients are not in what was measured here: how figures differ by "
        "them is unknown.",
    )
