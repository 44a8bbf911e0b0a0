"""Content of the model card, prepared from a manifest for ``export/templates/model_card.md.j2``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.assurance.drift.observations import ANSWERS
from edge_runtime.bundle.manifest import KERAS, ROUNDED, Attempt, Manifest
from edge_runtime.bundle.metrics import Evaluation, Figure, Localisation, SiteFigures
from edge_runtime.bundle.quantisation import without_int8
from edge_runtime.bundle.reference_distribution import QUANTILES
from edge_runtime.bundle.saliency import Method
from edge_runtime.serialisation.records import canonical_json
from export.model_card.analysis import BASELINE, Analysis, BaselineComparison, figure_of
from export.model_card.files import FileTables
from training.metrics.evaluation import CROSS_VALIDATION, GAIN
from training.metrics.sites import of_subgroups
from training.reporting.rendering import Table, render
from training.reporting.tables import figure_table, part_table, site_table

_TEMPLATE = Path(__file__).parents[1] / "templates" / "model_card.md.j2"
_HELD_OUT = ("validation", "test")
_QUARTILES = tuple((QUANTILES - 1) * quarter // 4 for quarter in (2, 1, 3))
_CITED = {
    Method.GRAD_CAM: "Grad-CAM (Selvaraju et al. 2017, ICCV 618)",
    Method.EIGEN_CAM: "Eigen-CAM (Muhammad & Yeasin 2020, IJCNN), which shows what the network sees most of, whatever "
    "the label",
    Method.ATTENTION: "the network's own attention (Ilse, Tomczak & Welling 2018, arXiv:1802.04712), fitted on lesion "
    "masks: where it takes its evidence from, whatever the label",
}


def model_card(manifest: Manifest) -> str:
    """Return the model card as Markdown."""
    return re.sub(r"\n{3,}", "\n\n", render(_TEMPLATE, ModelCard(manifest)))


@dataclass(frozen=True)
class ModelCard:
    """A manifest, and the values that the model card derives from it."""

    manifest: Manifest

    @property
    def groups(self) -> str:
        """The units of the split and of the bootstrap, in the plural, for example patients."""
        record = self.manifest.training
        return "patients" if record is None or record.audit is None else record.audit.grouped_by

    @property
    def steps(self) -> list[str]:
        """The preprocessing steps as JSON."""
        return [canonical_json(step) for step in self.manifest.spec.steps]

    @property
    def traits(self) -> list[str]:
        """Each subgroup trait with its values, in the order measured."""
        found: dict[str, dict[str, None]] = {}
        for subgroup in (subgroup for evaluation in self.manifest.evaluations for subgroup in evaluation.subgroups):
            found.setdefault(subgroup.trait, {})[subgroup.value] = None
        return [f"{trait} ({', '.join(values)})" for trait, values in found.items()]

    @property
    def held_out(self) -> Table:
        """Parts of the split on which figures were measured."""
        return self._parts(held_out=True)

    @property
    def fitted_on(self) -> Table:
        """All other parts of the split."""
        return self._parts(held_out=False)

    def _parts(self, *, held_out: bool) -> Table:
        record = self.manifest.training
        if record is None:
            return Table((), ())
        parts = _HELD_OUT if held_out else [part for part in record.images if part not in _HELD_OUT]
        return part_table(record, parts, self.groups, "images", unknown="")

    @property
    def test(self) -> Evaluation | None:
        """Evaluation of the Keras model on the test part."""
        return self._evaluation(KERAS, "test")

    @property
    def crossed(self) -> Evaluation | None:
        """Evaluation of other networks of the same recipe by cross-validation, for a model without a test part."""
        return None if self.test is not None else self._evaluation(KERAS, CROSS_VALIDATION)

    @property
    def judged(self) -> Evaluation | None:
        """The evaluation on patients that no choice was made on: of the test part, or of cross-validation."""
        return self.test or self.crossed

    def _evaluation(self, subject: str, part: str) -> Evaluation | None:
        found = (e for e in self.manifest.evaluations if (e.subject, e.part) == (subject, part))
        return next(found, None)

    @property
    def recall(self) -> Figure | None:
        """Recall of :attr:`judged`."""
        return figure_of(self.judged, "recall")

    @property
    def specificity(self) -> Figure | None:
        """Specificity of :attr:`judged`."""
        return figure_of(self.judged, "specificity")

    @property
    def claims(self) -> Table:
        """Published figures beside measured ones; claims without a measured figure are omitted."""
        claims = () if self.manifest.training is None else self.manifest.training.claims
        found = ((claim, figure_of(self.test, claim.name)) for claim in claims)
        rows = ((claim.name, f"{claim.value:.3f}", figure) for claim, figure in found if figure is not None)
        return Table(("figure", "published", f"measured here, test {self.groups}"), tuple(rows))

    @property
    def analyses(self) -> list[Analysis]:
        """All evaluations."""
        return [Analysis(evaluation, self.groups) for evaluation in self.manifest.evaluations]

    @property
    def against_baseline(self) -> BaselineComparison | None:
        """Comparison of the network with the baseline; None if one of them was not measured."""
        if self.judged is None:
            return None
        part = self.judged.part
        network, baseline = (figure_of(self._evaluation(name, part), "balanced accuracy") for name in (KERAS, BASELINE))
        if network is None or baseline is None:
            return None
        return BaselineComparison(network, baseline, figure_of(self.judged, GAIN))

    @property
    def rounded(self) -> bool:
        """Whether any file is not float32."""
        return any(entry.precision in ROUNDED for entry in self.manifest.files)

    @property
    def exceptions(self) -> str:
        """Text with the bound on decision flips of int8 outside the guard band."""
        bound = self.manifest.guard_band_exceptions
        if bound is None:
            return "an unknown share"
        return f"at most {bound:.2%} (95 % bound for images drawn independently, Wilks 1941)"

    @property
    def files(self) -> FileTables:
        """Tables of the exported files."""
        return FileTables(self.manifest)

    @property
    def usual(self) -> Table:
        """Distributions of score, confidence and familiarity, and rates, on patients that were not fitted on."""
        found = self.manifest.reference_distribution
        if found is None:
            return Table((), ())
        rows = [
            (row.name, *(f"{row.quantiles[at]:.3f}" for at in _QUARTILES), f"{row.design_effect:.2f}")
            for row in found.quantities
            if row.name in ANSWERS
        ]
        rows += [
            (f"{row.name}, share", f"{row.count / row.images:.3f}", "", "", f"{row.design_effect:.2f}")
            for row in found.rates
        ]
        return Table(("quantity", "median, or share", "lower quartile", "upper quartile", "design effect"), tuple(rows))

    @property
    def heatmap_method(self) -> str:
        """The heatmap method with its citation."""
        return "" if self.manifest.saliency is None else _CITED[self.manifest.saliency.method]

    @property
    def localisations(self) -> list[tuple[Localisation, Table]]:
        """Whether heatmaps point at lesions, for each part of the data."""
        return [(found, figure_table(found.figures)) for found in self.manifest.localisations or ()]

    @property
    def sites(self) -> tuple[SiteFigures, ...]:
        """Figures by site and scanner; without measured ones, those of the test part's subgroups."""
        if self.manifest.sites is not None:
            return self.manifest.sites
        subgroups = () if self.test is None else self.test.subgroups
        return of_subgroups(subgroups, self.manifest.spec.policy.cutoff)

    @property
    def never_seen(self) -> Table:
        """Figures of sites and scanners that the network did not see, with the shift."""
        return site_table((found for found in self.sites if found.never_seen), self.groups)

    @property
    def in_site(self) -> Table:
        """Figures of the test part by site and scanner."""
        return site_table((found for found in self.sites if not found.never_seen), self.groups)

    @property
    def left_out(self) -> list[tuple[str, list[Attempt]]]:
        """Reason and attempts for each format without an int8 file."""
        attempts = self.manifest.attempts
        return [(why, [a for a in attempts if a.file == name]) for name, why in without_int8(attempts).items()]
