"""Archives with a site policy: planned with it, named in every row and shard, and refused with another one."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from edge_runtime import Predictor
from edge_runtime.archive.merging import lines, merge
from edge_runtime.archive.planning import plan_archive
from edge_runtime.archive.progress import progress_of
from edge_runtime.archive.scoring import score_shard
from edge_runtime.archive.shard import SITE_POLICY_KEY, finished
from edge_runtime.errors import ArchiveError, EdgeError
from edge_runtime.results.record import LineKind, from_line
from tests.site_policies import site_policy
from tests.unit.archive.conftest import Planned
from tests.unit.archive.rows import score_all


def test_rows_and_shards_name_the_policy(images: Path, planned: Planned, phantom_bundle: Path, tmp_path: Path) -> None:
    policy = site_policy(phantom_bundle, tmp_path / "policy")
    with Predictor.load(phantom_bundle, site_policy=policy.path) as predictor:
        archive = plan_archive([str(images)], tmp_path / "calibrated", predictor, shard_size=5)
    score_all(archive)
    found = [json.loads(line) for line in lines(archive)]
    answered = [line for line in found if "error" not in line]
    site = {"name": "ward", "version": 1, "sha256": policy.sha256}
    assert len(answered) == 21 and all(line["site_policy"] == site for line in answered)
    kinds = [from_line(line.encode()).kind for line in lines(archive)]
    assert kinds.count(LineKind.ANSWER) == 21
    assert list(answered[0]).index("site_policy") == list(answered[0]).index("site") + 1
    merge(archive, tmp_path / "all.parquet")
    table = pq.read_table(tmp_path / "all.parquet")
    assert table.schema.metadata[SITE_POLICY_KEY.encode()].decode() == policy.sha256
    assert "site_policy" in table.column_names
    plain = planned(images, folder="plain")
    score_all(plain)
    assert plain.plan.id != archive.plan.id
    assert "site_policy" not in pq.read_table(plain.shard_path(0)).column_names


def test_a_shard_of_another_policy_is_refused(
    images: Path, planned: Planned, phantom_bundle: Path, tmp_path: Path
) -> None:
    plain, archives = planned(images, folder="plain"), []
    score_all(plain)
    for number, cutoff in enumerate((0.9, 0.8)):
        policy = site_policy(phantom_bundle, tmp_path / f"policy-{number}", cutoff=cutoff)
        with Predictor.load(phantom_bundle, site_policy=policy.path) as predictor:
            archives.append(plan_archive([str(images)], tmp_path / f"archive-{number}", predictor, shard_size=5))
        score_all(archives[-1])
    for target, source in ((archives[0], archives[1]), (archives[0], plain), (plain, archives[0])):
        before = target.shard_path(1).read_bytes()
        target.shard_path(1).write_bytes(source.shard_path(1).read_bytes())
        with pytest.raises(ArchiveError, match="shard of another site policy") as caught:
            finished(target, 1)
        assert caught.value.code == "archive_other_model"
        target.shard_path(1).write_bytes(before)


def test_workers_refuse_a_policy_that_was_changed(images: Path, phantom_bundle: Path, tmp_path: Path) -> None:
    policy = site_policy(phantom_bundle, tmp_path / "policy")
    with Predictor.load(phantom_bundle, site_policy=policy.path) as predictor:
        archive = plan_archive([str(images)], tmp_path / "archive", predictor, shard_size=5)
    site_policy(phantom_bundle, tmp_path / "policy", cutoff=0.7)
    with pytest.raises(EdgeError) as caught:
        score_shard(str(archive.folder), 0)
    assert caught.value.code == "site_policy_changed"
    assert progress_of(archive).rows == 0
