"""An image unlike the model's own is referred, whatever the network says; models without familiarity are as before."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from edge_runtime.bundle.bundle import Bundle, find
from edge_runtime.bundle.manifest import Precision
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.verdict import Decision, Reason
from edge_runtime.errors import ManifestError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.ood.detector import NAMES, STATISTICS, Familiarity
from edge_runtime.ood.statistics import statistics
from edge_runtime.predictor import Predictor
from edge_runtime.serialisation.records import canonical_json, from_dict, to_dict
from tests.places import ROOT
from tests.system_4 import BUNDLE

SCHEMA = json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
K = len(NAMES)
GLASS = np.full((50, 50, 3), 243, np.uint8)
PINK = np.random.default_rng(1).normal([190, 120, 210], 9, (50, 50, 3)).clip(0, 255).astype(np.uint8)


def around(pixels: np.ndarray, limit: float = 1.0) -> Familiarity:
    """Say that the model is for images like one image: within .1 in all statistics together, times ``limit``."""
    mean = statistics(DecodedImage("own", pixels, ColourOrder.BGR))
    whitening = (np.eye(K) * 10)[np.tril_indices(K)]
    return Familiarity(STATISTICS, tuple(mean.tolist()), tuple(whitening.tolist()), limit)


def knowing(familiarity: Familiarity | None, **policy: float) -> Bundle:
    """System 4 with a familiarity; its files are the same."""
    bundle = find(BUNDLE)
    spec = bundle.manifest.spec
    spec = dataclasses.replace(spec, familiarity=familiarity, policy=dataclasses.replace(spec.policy, **policy))  # type: ignore[arg-type]
    return dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, spec=spec, guard_band=1.0))


def opened(familiarity: Familiarity | None, **policy: float) -> Predictor:
    return Predictor(knowing(familiarity, **policy), Runtime.LITERT, Precision.INT8, 1)


def test_the_distance_is_mahalanobis() -> None:
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(400, K)) @ rng.normal(size=(K, K))
    covariance, mean = np.cov(cloud, rowvar=False), cloud.mean(axis=0)
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))[np.tril_indices(K)]
    known = Familiarity(STATISTICS, tuple(mean.tolist()), tuple(whitening.tolist()), 2.0)
    expected = [mahalanobis(row, mean, np.linalg.inv(covariance)) for row in cloud[:20]]
    np.testing.assert_allclose(known.distances(cloud[:20]), expected, rtol=1e-6)
    image = DecodedImage("p", PINK, ColourOrder.BGR)
    assert known.distance(image) == pytest.approx(mahalanobis(statistics(image), mean, np.linalg.inv(covariance)))
    assert known.share(image) == known.distance(image) / 2.0


def test_statistics_of_another_release_are_refused_with_a_remedy() -> None:
    spec = find(BUNDLE).manifest.spec
    fields = to_dict(dataclasses.replace(spec, familiarity=around(GLASS)))
    assert from_dict(ModelSpec, fields).familiarity == around(GLASS)
    fields["familiarity"]["statistics"] = "image-statistics/9"
    with pytest.raises(ManifestError, match=r"spec.familiarity: .*'image-statistics/9'.*Update edge-predict"):
        from_dict(ModelSpec, fields, "spec")


@pytest.mark.parametrize(
    "change",
    [{"limit": 0.0}, {"limit": -1.0}, {"limit": float("inf")}, {"mean": (0.0,) * (K - 1)}, {"whitening": (1.0,) * K}],
    ids=str,
)
def test_numbers_that_are_no_distance_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="familiarity: found"):
        dataclasses.replace(around(GLASS), **change)  # type: ignore[arg-type]


def test_a_spec_without_familiarity_keeps_its_text_and_one_with_it_keeps_its_contract() -> None:
    spec = find(BUNDLE).manifest.spec
    assert spec.familiarity is None and "familiarity" not in canonical_json(spec)
    assert dataclasses.replace(spec, familiarity=around(GLASS)).contract == spec.contract


def test_an_unfamiliar_image_keeps_its_scores_and_is_referred_without_a_rerun() -> None:
    """The guard band is as wide as all scores: every familiar image is rerun in float32."""
    with opened(None) as plain, opened(around(GLASS)) as knows:
        before, found = plain.predict(PINK), knows.predict(PINK)
        familiar = knows.predict(GLASS)
    assert (before.precision, before.familiarity) == ("float32", None)
    assert (found.verdict.decision, found.verdict.reason) == (Decision.REFER, Reason.UNFAMILIAR_INPUT)
    assert found.precision == "int8" and found.familiarity is not None and found.familiarity > 1
    assert found.verdict.label == max(found.verdict.scores, key=found.verdict.scores.__getitem__)
    assert found.verdict.score == pytest.approx(before.verdict.score, abs=0.1)
    assert familiar.familiarity == 0.0 and familiar.verdict.reason is Reason.PRECISION_RERUN


def test_the_limit_itself_is_familiar() -> None:
    share = around(GLASS).share(DecodedImage("p", PINK, ColourOrder.RGB))
    for limit, reason in ((share, Reason.PRECISION_RERUN), (share * (1 - 1e-9), Reason.UNFAMILIAR_INPUT)):
        with opened(around(GLASS, limit)) as predictor:
            assert predictor.predict(PINK).verdict.reason is reason


def test_every_worker_asks_the_same(tmp_path: Path) -> None:
    with opened(around(GLASS)) as predictor:
        alone = [predictor.predict(p) for p in (GLASS, PINK)]
        for workers in (1, 2):
            found = list(predictor.predict_all([GLASS, PINK, tmp_path / "none.png"] * 4, workers=workers))
            kinds = [f if isinstance(f, Failure) else (f.verdict, f.familiarity) for f in found]
            assert kinds[0::3] == [(alone[0].verdict, alone[0].familiarity)] * 4
            assert kinds[1::3] == [(alone[1].verdict, alone[1].familiarity)] * 4
            assert all(isinstance(kind, Failure) for kind in kinds[2::3])


def test_each_tile_is_asked_alone_and_an_unfamiliar_one_is_referred() -> None:
    slide = np.concatenate([np.concatenate([GLASS, PINK, GLASS]), np.concatenate([PINK, PINK, GLASS])], axis=1)
    with opened(around(GLASS)) as predictor:
        found = predictor.predict_tiles(slide, workers=2)
        for tile in found.tiles:
            cut = np.ascontiguousarray(slide[tile.y_px : tile.y_px + 50, tile.x_px : tile.x_px + 50])
            alone = predictor.predict(cut)
            assert (tile.decision, tile.reason) == (alone.verdict.decision, alone.verdict.reason)
            assert tile.familiarity == alone.familiarity
    assert found.unfamiliar == 3 == found.count(Decision.REFER)
    assert found.to_dict()["tiles"]["unfamiliar"] == 3  # type: ignore[index]
    assert found.reruns == 3
    with opened(None) as predictor:
        plain = predictor.predict_tiles(slide)
    assert plain.unfamiliar is None and "unfamiliar" not in plain.to_dict()["tiles"]  # type: ignore[operator]


def _asked(familiarity: Familiarity | None) -> Prediction:
    with opened(familiarity) as predictor:
        return predictor.predict(PINK)


def test_the_json_form_is_the_documented_one() -> None:
    valid = jsonschema.Draft202012Validator(SCHEMA)
    assert "familiarity" not in _asked(None).to_dict()
    found = json.loads(json.dumps(_asked(around(GLASS)).to_dict()))
    valid.validate(found)
    assert found["familiarity"] > 1
    for wrong in ({"decision": "POSITIVE"}, {"familiarity": 0.5}, {"familiarity": -1}, {"familiarity": "far"}):
        with pytest.raises(jsonschema.ValidationError):
            valid.validate(found | wrong)
    without = {name: value for name, value in found.items() if name != "familiarity"}
    with pytest.raises(jsonschema.ValidationError):
        valid.validate(without)


def test_a_grey_file_is_asked_as_it_was_read(phantom_patches: list[Path]) -> None:
    """Not after the spec's steps: those sharpen."""
    path = phantom_patches[0]
    with opened(around(GLASS)) as predictor:
        assert predictor.predict(path).familiarity == around(GLASS).share(read(path))
