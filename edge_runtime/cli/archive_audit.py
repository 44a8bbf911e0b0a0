"""What ``edge-predict archive run`` writes into an audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.archive.plan import Archive, PlannedModel
from edge_runtime.archive.shard import finished
from edge_runtime.assurance.audit.recorder import Recorder
from edge_runtime.inference.backends.registry import ran_by

if TYPE_CHECKING:
    from edge_runtime.assurance.audit.events import ModelAdmitted


def admitted(model: PlannedModel) -> ModelAdmitted:
    """Return the event of the model that the shards are planned for."""
    from edge_runtime.assurance.audit.events import ModelAdmitted

    return ModelAdmitted(
        model.name,
        model.version,
        model.bundle,
        model.contract,
        ran_by(model.backend, model.provider),
        model.precision.value,
        site_policy=model.site_policy_sha256,
    )


def count_shard(recorder: Recorder, archive: Archive, shard: int) -> None:
    """Count the images of a shard that is finished."""
    found = finished(archive, shard)
    if found is not None:
        count_rows(recorder, archive, found.rows, found.failed)


def count_rows(recorder: Recorder, archive: Archive, rows: int, failed: int) -> None:
    """Count images of finished shards; their decisions are in the shards alone."""
    bundle = archive.plan.model.bundle
    recorder.count(bundle, decision="ANSWERED", times=rows - failed)
    recorder.count(bundle, failure="FAILED", times=failed)
