"""The command ``edge-dicom``."""

from __future__ import annotations

import click

from edge_runtime import __version__
from edge_runtime.cli.dicom_network import echo, orthanc_plugin, receive, send
from edge_runtime.cli.exit_codes import Group


@click.group("dicom", cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge-dicom")
def main() -> None:
    """DICOM: receive images and send reports, check a file, or write the plugin for Orthanc."""


for command in (receive, send, echo, orthanc_plugin):
    main.add_command(command)


def run() -> None:
    """Run ``edge-dicom`` as a program."""
    main()


if __name__ == "__main__":
    run()
