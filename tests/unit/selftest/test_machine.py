"""A certificate names the processor as its maker does."""

from __future__ import annotations

import platform

import pytest

from edge_runtime.selftest.machine import processor_named, this_machine

X86 = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Intel(R) Xeon(R) CPU @ 2.00GHz\n\nmodel name\t: other\n"
ARM64 = "processor\t: 0\nCPU part\t: 0xd08\n\nRevision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
ARM32 = "processor\t: 0\nBogoMIPS\t: 38.40\n\nHardware\t: BCM2711\n"


@pytest.mark.parametrize(
    "text, name",
    [
        (X86, "Intel(R) Xeon(R) CPU @ 2.00GHz"),
        (ARM64, "Raspberry Pi 4 Model B Rev 1.4"),
        (ARM32, "BCM2711"),
        ("processor\t: 0\n", None),
        ("", None),
    ],
)
def test_the_first_name_in_cpuinfo_is_taken(text: str, name: str | None) -> None:
    assert processor_named(text) == name


def test_this_machine_is_described_without_the_name_of_its_owner() -> None:
    machine = this_machine()
    assert (machine.architecture, machine.python) == (platform.machine(), platform.python_version())
    assert machine.versions["numpy"]
    assert platform.node() not in (machine.processor, machine.system)
