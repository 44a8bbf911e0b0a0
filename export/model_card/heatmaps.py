"""Heatmaps: how they are made, how nearly they are TensorFlow's, and whether they point at lesions."""

from __future__ import annotations

from edge_runtime.bundle.manifest import Manifest, MapParity
from edge_runtime.bundle.metrics import Localisation
from edge_runtime.bundle.saliency import Method, Saliency
from export.model_card.markdown import cell, grouped_by, section, sentence, table

_CITED = {
    Method.GRAD_CAM: "Grad-CAM (Selvaraju et al. 2017, ICCV 618)",
    Method.EIGEN_CAM: "Eigen-CAM (Muhammad & Yeasin 2020, IJCNN), which shows what the network sees most of, whatever "
    "the label",
}


def heatmaps(manifest: Manifest) -> str:
    """Return the section; nothing for bundles that know of no heatmaps."""
    saliency = manifest.saliency
    if saliency is None:
        return ""
    found = manifest.localisations or ()
    unmeasured = "" if found or saliency.method is Method.NONE else "Whether they point at lesions was not measured."
    measured = [_measured(each, grouped_by(manifest)) for each in found]
    return section("Heatmaps", _made(saliency), _parity(manifest.map_parity or ()), unmeasured, *measured, level=3)


def _made(saliency: Saliency) -> str:
    if saliency.method is Method.NONE:
        return f"None: {sentence(saliency.why)}"
    rows, columns, channels = saliency.grid
    where = f"{rows}×{columns} cells of layer `{saliency.layer}` ({channels} channels), from the float32 file"
    why = f" Not Grad-CAM: {sentence(saliency.why)}" if saliency.why else ""
    return f"{_CITED[saliency.method]}: {where}.{why} A heatmap shows what moved the network, not where disease is."


def _parity(rows: tuple[MapParity, ...]) -> str:
    head = ("file", "runtime", "pictures", "largest difference to TensorFlow's map, share of its range", "blank maps")
    return table(head, [(row.file, row.runtime, str(row.images), f"{row.worst:.1e}", str(row.blank)) for row in rows])


def _measured(found: Localisation, groups: str) -> str:
    rows = [(figure.name, cell(figure)) for figure in found.figures]
    pictures = f"the {found.images} {found.part} pictures of {found.groups} {groups} that have a marked lesion"
    return f"On {pictures}. {_READING}\n\n{table(('figure', 'value'), rows)}"


_READING = (
    "*Hits*: share of maps whose largest value lies in the lesion (Zhang et al. 2018, Int J Comput Vis 126:1084); "
    "*energy*: mean share of the map's sum that does (Wang et al. 2020, CVPR Workshops); *likeness*: mean rank "
    "correlation with the map of the same network with random weights, which a map of what was learned must not keep "
    "(Adebayo et al. 2018, NeurIPS)."
)
