"""Write the wheel's contents and dependencies as a CycloneDX 1.6 bill of materials in ``.dist-info/sboms`` (PEP 770).

hatchling runs this file by its path while it builds the wheel, in an environment that contains only hatchling. So this
file imports nothing of this project. Hashes are computed from the files that go into the wheel. The same files give the
same bytes: there is no time stamp, and the serial number is computed from the content.
"""

import hashlib  # no annotations from __future__: hatchling keeps this module out of sys.modules, where dataclasses look
import json
import re
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLES = Path("edge_runtime", "bundles")
FILE_NAME = "edge-predict.cdx.json"
_REQUIREMENT = "edge-predict:requirement"


@dataclass(frozen=True)
class WheelMetadata:
    """The wheel's core metadata that the bill of materials contains.

    Attributes:
        requirements: requirement lines (PEP 508).
        optional: requirement lines of each extra.
    """

    name: str
    version: str
    summary: str
    licence: str
    requirements: tuple[str, ...]
    optional: dict[str, tuple[str, ...]]


def bill(package: WheelMetadata, root: Path, tool: tuple[str, str]) -> dict[str, Any]:
    """Return the bill of materials as JSON values.

    Args:
        root: the folder that contains ``edge_runtime``.
        tool: name and version of the build tool.
    """
    own = f"pkg:pypi/{package.name}@{package.version}"
    needed = list(_needed(package))
    models = [_model(path.parent, root) for path in sorted((root / BUNDLES).glob("*/bundle.json"))]
    references = [component["bom-ref"] for component in (*needed, *models)]
    body = {
        "metadata": {
            "tools": {"components": [{"type": "application", "name": tool[0], "version": tool[1]}]},
            "component": {
                "type": "library",
                "bom-ref": own,
                "name": package.name,
                "version": package.version,
                "description": package.summary,
                "licenses": [{"expression": package.licence}],
                "purl": own,
            },
        },
        "components": [*needed, *models],
        "dependencies": [{"ref": own, "dependsOn": references}, *({"ref": name} for name in references)],
        # The release of each package is chosen on the device; docs/constraints lists the tested releases.
        "compositions": [
            {"aggregate": "complete", "assemblies": [model["bom-ref"] for model in models]},
            {"aggregate": "incomplete", "dependencies": [own]},
        ],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", **head, **body}


def _needed(package: WheelMetadata) -> Iterator[dict[str, Any]]:
    """Yield one component per required or optional package, without a version, with its requirement lines."""
    lines: dict[str, list[str]] = {}
    for line in package.requirements:
        lines.setdefault(_name(line), []).append(line)
    required = set(lines)
    for extra, more in package.optional.items():
        for line in more:
            lines.setdefault(_name(line), []).append(f"{line} (extra {extra})")
    for name, said in sorted(lines.items()):
        yield {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}",
            "name": name,
            "scope": "required" if name in required else "optional",
            "purl": f"pkg:pypi/{name}",
            "properties": [{"name": _REQUIREMENT, "value": line} for line in said],
        }


def _name(requirement: str) -> str:
    """Return a requirement's package name, normalised (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", found[0] if found else requirement).lower()


def _model(folder: Path, root: Path) -> dict[str, Any]:
    """Return one model as a component, with its files."""
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    name, version = manifest["spec"]["name"], manifest["spec"]["version"]
    reference = f"model:{name}@{version}"
    return {
        "type": "machine-learning-model",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "description": manifest["spec"]["summary"],
        "scope": "required",
        "components": [_file(path, root) for path in sorted(folder.iterdir()) if path.is_file()],
    }


def _file(path: Path, root: Path) -> dict[str, Any]:
    place = path.relative_to(root).as_posix()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"type": "file", "bom-ref": place, "name": place, "hashes": [{"alg": "SHA-256", "content": digest}]}


class BillHook(BuildHookInterface):  # type: ignore[type-arg]  # type parameter: hatchling's configuration
    """Build hook that adds the bill of materials to every wheel, also to an editable one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the bill of materials and register the file with the builder."""
        from hatchling.__about__ import __version__

        core = self.metadata.core
        package = WheelMetadata(
            name=core.name,
            version=self.metadata.version,
            summary=core.description,
            licence=core.license_expression or "Apache-2.0",
            requirements=_lines(core.dependencies),
            # development extras are not installed on devices
            optional={n: _lines(more) for n, more in core.optional_dependencies.items() if n not in ("dev", "docs")},
        )
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / FILE_NAME
        text = json.dumps(bill(package, Path(self.root), ("hatchling", __version__)), indent=1)
        path.write_text(text + "\n", encoding="utf-8")
        build_data["sbom_files"].append(str(path))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Delete the temporary file after the builder has copied it into the wheel."""
        self._folder.cleanup()


def _lines(requirements: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(requirements))
