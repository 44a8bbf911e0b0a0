"""The commands of ``python -m benchmarks``, each imported when it is called."""

from __future__ import annotations

import importlib

import click

_COMMANDS = {
    "table": ("benchmarks.cli.table", "Measure this package beside its peers, and print or write the tables."),
    "check": ("benchmarks.cli.check", "Compare this checkout with another commit, in turns in one run."),
    "peers": ("benchmarks.cli.peers", "List the peers' environments, or install them."),
    "serve": ("benchmarks.cli.serve", "Put edge-serve under load and check what it promises."),
    "archive-cost": (
        "benchmarks.studies.archive_cost",
        "Processor time of an archive, by engine: tasks and what is added.",
    ),
    "archive-memory": ("benchmarks.studies.archive_memory", "Peak memory of archive commands, by number of records."),
    "slide-memory": ("benchmarks.studies.slide_memory", "Peak memory and time of whole slides, by their size."),
    "dicom-memory": ("benchmarks.studies.dicom", "Peak memory of Orthanc and edge-serve for the largest DICOM frame."),
    "dicom-bits": ("benchmarks.studies.dicom", "Changed bits of compressed DICOM frames: refused, harmless, unseen."),
    "drift": ("benchmarks.studies.drift", "False alarms and power of edge-predict drift, on held-out patients."),
    "int8-kernels": ("benchmarks.studies.int8_kernels", "Cost and decisions of int8 ONNX files on this processor."),
    "export-memory": ("benchmarks.studies.export_memory", "Peak memory of an export, by number of calibration images."),
    "cold-stages": ("benchmarks.studies.cold_stages", "Where a cold edge-predict spends its time and memory."),
    "heatmap-parity": ("benchmarks.studies.heatmap_parity", "Heatmaps against TensorFlow's, on real images."),
}
"""Name of a command → its module, which has it under its name with underscores, and its line of help."""


class _Lazy(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        found: click.Command = getattr(importlib.import_module(_COMMANDS[cmd_name][0]), cmd_name.replace("-", "_"))
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure what predictions cost. Every figure is a ratio of contestants that take turns in one run."""
