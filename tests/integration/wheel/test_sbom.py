"""The bill of materials in the wheel tells what is in the wheel, and is what the standard says."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

import edge_runtime
from tests.places import ROOT

PLACE = f"edge_predict-{edge_runtime.__version__}.dist-info/sboms/edge-predict.cdx.json"


@pytest.fixture
def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def bill(content: dict[str, bytes]) -> dict[str, Any]:
    return json.loads(content[PLACE])


def test_every_file_of_every_model_is_named_with_the_hash_that_it_has_in_the_wheel(
    bill: dict[str, Any], content: dict[str, bytes]
) -> None:
    models = [component for component in bill["components"] if component["type"] == "machine-learning-model"]
    told = {file["name"]: file["hashes"] for model in models for file in model["components"]}
    held = {
        name: [{"alg": "SHA-256", "content": hashlib.sha256(data).hexdigest()}]
        for name, data in content.items()
        if name.startswith("edge_runtime/bundles/")
    }
    assert told == held
    assert len(held) > 3
    specs = [json.loads(data)["spec"] for name, data in content.items() if name.endswith("/bundle.json")]
    assert {(m["name"], m["version"]) for m in models} == {(spec["name"], spec["version"]) for spec in specs}


def test_every_requirement_of_the_metadata_stands_in_it(bill: dict[str, Any], content: dict[str, bytes]) -> None:
    text = content[PLACE.replace("sboms/edge-predict.cdx.json", "METADATA")].decode("utf-8")
    lines = [
        line for line in Parser().parsestr(text).get_all("Requires-Dist", []) if not re.search("'(dev|docs)'", line)
    ]
    packages = [component for component in bill["components"] if component["type"] == "library"]
    told = [row["value"] for package in packages for row in package["properties"]]
    assert len(told) == len(lines)
    plain = {line.replace(" ", "").replace("(", "").replace(")", "") for line in lines if "extra ==" not in line}
    assert plain == {line.replace(" ", "") for line in told if "(extra " not in line}
    for package in packages:
        assert package["scope"] == (
            "required" if any("(extra " not in r["value"] for r in package["properties"]) else "optional"
        )
        assert package["purl"] == f"pkg:pypi/{package['name']}"
    own = bill["metadata"]["component"]
    assert (own["name"], own["version"]) == ("edge-predict", edge_runtime.__version__)
    references = {component["bom-ref"] for component in bill["components"]}
    assert set(bill["dependencies"][0]["dependsOn"]) == references
    assert "tensorflow" not in json.dumps(bill).lower().replace("no tensorflow", "")


def test_it_is_valid_by_the_standards_own_schema(content: dict[str, bytes]) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json", reason="cyclonedx-python-lib is not installed here")
    schema = pytest.importorskip("cyclonedx.schema")
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(content[PLACE].decode("utf-8")) is None
    broken = content[PLACE].decode("utf-8").replace("SHA-256", "SHA-257")
    assert validator.validate_str(broken) is not None


def test_the_same_files_give_the_same_bill(bill: dict[str, Any]) -> None:
    sbom = pytest.importorskip("export.sbom")
    package = sbom.WheelMetadata("p", "1.0", "", "Apache-2.0", ("numpy>=2",), {"onnx": ("onnxruntime",)})
    first, second = (sbom.bill(package, ROOT, ("hatchling", "1.0")) for _ in range(2))
    assert first == second
    other = sbom.bill(package, ROOT, ("hatchling", "1.1"))
    assert other["serialNumber"] != first["serialNumber"]
    assert [c for c in first["components"] if c["type"] != "library"] == [
        c for c in bill["components"] if c["type"] != "library"
    ]
