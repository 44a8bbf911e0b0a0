"""Three storeys, one way: export → training → edge_runtime; and the wheel holds the lowest alone."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import edge_runtime
from tests.places import ROOT

HEAVY = {
    *("tensorflow", "keras", "tf2onnx", "onnx", "PIL", "sklearn", "scipy", "tqdm", "jax", "torch", "matplotlib"),
    *("jinja2", "markupsafe"),
}
INTERPRETERS = {"ai_edge_litert", "tflite_runtime", "onnxruntime"}
OPTIONAL = INTERPRETERS | {"cryptography"}
DEVICE = {"edge_runtime", "numpy", "cv2", "click", "_sha2"} | OPTIONAL  # _sha2: the standard library since Python 3.12
SERVICE = {"starlette", "uvicorn", "h11", "prometheus_client", "python_multipart"}
"""What the extra ``serve`` brings; ``edge_runtime/serving`` alone imports it."""
DICOM = {"pydicom", "highdicom", "pynetdicom"}
"""What the extra ``dicom`` brings; ``edge_runtime/dicom`` alone imports it, inside functions."""
SLIDES = {"openslide", "tifffile", "imagecodecs"}
"""What the extra ``slides`` brings; ``edge_runtime/slides`` alone imports it."""
ARCHIVE = {"pyarrow", "fsspec", "ray", "dask", "distributed"}
"""What the extras ``archive``, ``ray`` and ``dask`` bring; ``edge_runtime/archive`` alone imports it, by name."""
BUNDLES = "edge_runtime/bundles/"
MOST_PACKED, MOST_UNPACKED = 20_000_000, 30_000_000
PACKAGE_FILES = ["README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "docs/prediction.schema.json"]


def imported(path: Path) -> dict[str, int]:
    """Top-level modules that a file imports anywhere, with the line."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [node.module or ""]
        for name in names:
            found.setdefault(name.split(".")[0], node.lineno)
    return found


def offences(package: str, allowed: set[str] | None = None, banned: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, f"no file in {package}"
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for name, line in imported(path).items()
        if name in banned or (allowed is not None and name not in allowed | sys.stdlib_module_names)
    ]


def test_the_device_imports_numpy_opencv_click_and_one_interpreter_alone() -> None:
    found = offences("edge_runtime", allowed=DEVICE, banned=HEAVY | {"training", "export"})
    apart = tuple(f"edge_runtime/{folder}/" for folder in ("serving", "dicom", "slides"))
    assert not [line for line in found if not line.startswith(apart)]


def test_the_service_adds_the_packages_of_its_extra_alone() -> None:
    assert not offences("edge_runtime/serving", allowed=DEVICE | SERVICE, banned=HEAVY | {"training", "export"})


def test_dicom_adds_the_packages_of_its_extra_alone() -> None:
    found = offences("edge_runtime/dicom", allowed=DEVICE | DICOM, banned=HEAVY | {"training", "export"})
    plugin = [line for line in found if line.startswith("edge_runtime/dicom/orthanc_plugin.py:")]
    assert found == plugin
    assert [line.rpartition(" ")[2] for line in plugin] == ["orthanc"]  # what Orthanc gives it


def test_the_plugin_for_orthanc_needs_the_standard_library_alone() -> None:
    found = imported(ROOT / "edge_runtime" / "dicom" / "orthanc_plugin.py")
    assert set(found) - sys.stdlib_module_names == {"orthanc"}


def test_slides_add_the_packages_of_their_extra_alone() -> None:
    assert not offences("edge_runtime/slides", allowed=DEVICE | SLIDES, banned=HEAVY | {"training", "export"})


def test_training_never_imports_export() -> None:
    assert not offences("training", banned={"export"})


def test_no_storey_imports_tests_or_benchmarks() -> None:
    for package in ("edge_runtime", "training", "export"):
        assert not offences(package, None, {"tests", "benchmarks"})


def test_a_peer_of_the_benchmarks_imports_its_own_package_numpy_and_opencv_alone() -> None:
    """Each runs in an environment of its own, in which this package is not installed."""
    own = {"ai_edge_litert", "onnxruntime", "openvino", "model_api", "mediapipe", "keras", "tensorflow", "edge_runtime"}
    assert not offences("benchmarks/peers", {"numpy", "cv2", "benchmarks"} | own)


def test_what_is_optional_is_imported_inside_functions_alone() -> None:
    found = []
    for path in sorted((ROOT / "edge_runtime").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                optional = OPTIONAL | DICOM
                found += [f"{path.name}: {name}" for name in names if name.split(".")[0] in optional]
    assert not found


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh process holds after ``code``."""
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return set(json.loads(done.stdout))


def test_importing_the_runtime_and_both_commands_starts_nothing_heavy() -> None:
    found = modules_after("import edge_runtime, edge_runtime.cli.predict, edge_runtime.cli.bundle")
    assert {"numpy", "cv2", "click"} <= found
    assert not found & (HEAVY | OPTIONAL | SERVICE | DICOM | SLIDES | ARCHIVE | {"training", "export"})


@pytest.mark.parametrize("backend, module", [("litert", "ai_edge_litert"), ("onnxruntime", "onnxruntime")])
def test_opening_a_model_imports_its_interpreter_and_no_other(
    backend: str, module: str, phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    found = modules_after(
        "from edge_runtime import Predictor, Runtime\n"
        f"with Predictor.load({str(phantom_bundle)!r}, backend=Runtime({backend!r})) as predictor:\n"
        f"    predictor.predict({str(phantom_patches[0])!r})"
    )
    assert found & INTERPRETERS == {module}
    assert not found & (HEAVY | {"training", "export"})


def test_listing_recipes_starts_no_framework() -> None:
    assert not modules_after("import training.cli, export.cli") & {"tensorflow", "keras", "tf2onnx", "onnx", "sklearn"}


def test_every_public_name_is_loaded_when_it_is_first_used_and_from_where_type_checkers_look() -> None:
    tree = ast.parse(Path(edge_runtime.__file__).read_text(encoding="utf-8"))
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    homes = {
        alias.name: node.module for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert homes == edge_runtime._HOMES
    assert set(homes) | {"__version__"} == set(edge_runtime.__all__) == set(dir(edge_runtime))
    for name, home in homes.items():
        assert getattr(edge_runtime, name) is getattr(importlib.import_module(home), name)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        edge_runtime.Nothing  # noqa: B018
    assert "cv2" not in modules_after("import edge_runtime")


def test_everything_public_is_documented() -> None:
    bare = [
        name
        for name in edge_runtime.__all__
        if isinstance(value := getattr(edge_runtime, name), type) and not (value.__dict__.get("__doc__") or "").strip()
    ]
    assert not bare, f"without a docstring: {bare}"
    assert edge_runtime.__doc__


LAYERS = {
    "edge_runtime": (
        *("errors", "platform", "serialisation", "images", "preprocessing", "ood", "bundle", "decision"),
        *("inference.backends", "golden", "inference", "explain", "tiling", "dicom", "predictor", "results"),
        *("selftest", "assurance", "slides", "archive", "serving", "cli"),
    ),
    "training": (
        *("errors", "data", "networks", "recipes", "artifact", "metrics", "policy", "explain", "evaluation"),
        *("fitting", "experiments", "reporting", "cli"),
    ),
    "export": (
        *("errors", "progress", "source.stored_tensors"),
        *("converters.failure_text", "converters.isolation"),
        *("converters.flatbuffer", "converters.onnx_names", "source", "quantisation"),
        *("converters", "validation.parity"),
        *("quantisation.gain", "quantisation.search", "conversion", "validation", "model_card"),
        *("quantisation.shares", "proof", "pipeline", "preview", "benchmark", "matrix", "cli"),
    ),
}
"""Folders and modules of a package, each of which imports those before it alone: the way of an image, or a network."""


def layer_of(module: str, package: str) -> str | None:
    """Return the most specific layer that a dotted name belongs to."""
    names = [name for name in LAYERS[package] if f"{module}.".startswith(f"{package}.{name}.")]
    return max(names, key=len, default=None)


@pytest.mark.parametrize("package", LAYERS)
def test_a_layer_imports_those_before_it_alone(package: str) -> None:
    order, backwards, seen = LAYERS[package], [], set()
    for path in sorted((ROOT / package).rglob("*.py")):
        here = layer_of(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), package)
        seen.add(here)
        if here is None:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom):
                continue
            for module in (f"{node.module}.{alias.name}" for alias in node.names):
                there = layer_of(module, package)
                if there is not None and order.index(there) > order.index(here):
                    backwards.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {module}")
    assert not backwards
    assert seen >= set(order), f"no module in {set(order) - seen}"
    if package == "edge_runtime":
        assert seen == {*order, None}, "the root holds its public face alone"


def test_every_module_says_what_it_is_for() -> None:
    files = [
        path
        for package in ("edge_runtime", "training", "export", "benchmarks")
        for path in (ROOT / package).rglob("*.py")
    ]
    bare = [str(p.relative_to(ROOT)) for p in files if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]
    assert not bare, f"without a docstring: {bare}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build from a copy, so that nothing is left in the checkout; offline if hatchling is here."""
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    for package in ("edge_runtime", "training", "export"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "docs").mkdir()
    for name in PACKAGE_FILES:
        shutil.copy(ROOT / name, copy / name)
    here = [] if importlib.util.find_spec("hatchling") is None else ["--no-isolation"]
    command = [sys.executable, "-m", "build", "--wheel", *here, "--outdir", str(out), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_the_runtime_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"edge_runtime", f"edge_predict-{edge_runtime.__version__}.dist-info"}
    here = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "edge_runtime").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    here.add("edge_runtime/serving/prediction.schema.json")  # a copy of the one in docs
    assert {name for name in names if name.startswith("edge_runtime/")} == here
    assert "edge_runtime/py.typed" in names
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_holds_every_file_of_the_models_that_ship(wheel: Path) -> None:
    bundles = edge_runtime_bundles()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for name, files in bundles.items():
        missing = [file for file in files if f"edge_runtime/bundles/{name}/{file}" not in names]
        assert not missing, f"{name} lacks {missing}"


def test_the_models_that_ship_stay_small_together(wheel: Path) -> None:
    """A device downloads the wheel and keeps what is in it, all models at once."""
    with zipfile.ZipFile(wheel) as archive:
        shipped = [entry for entry in archive.infolist() if entry.filename.startswith(BUNDLES)]
    names = {entry.filename.removeprefix(BUNDLES).split("/")[0] for entry in shipped}
    assert names == set(edge_runtime_bundles())
    packed, unpacked = sum(entry.compress_size for entry in shipped), sum(entry.file_size for entry in shipped)
    assert packed < MOST_PACKED, f"{packed:,} bytes of models in the wheel"
    assert unpacked < MOST_UNPACKED, f"{unpacked:,} bytes of models on the device"


def edge_runtime_bundles() -> dict[str, list[str]]:
    bundle = importlib.import_module("edge_runtime.bundle.bundle")
    found = {name: bundle.find(name) for name in bundle.shipped()}
    if not found:
        pytest.skip("no model ships in this checkout")
    return {name: ["bundle.json", *(e.name for e in opened.manifest.files)] for name, opened in found.items()}


def test_the_wheels_metadata_names_what_a_device_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode("utf-8"))
        entry_points = archive.read(name.replace("METADATA", "entry_points.txt")).decode("utf-8")
    needed = metadata.get_all("Requires-Dist", [])
    assert {line.replace(" ", "") for line in needed if "extra" not in line} == {
        "click<8.6,>=8.1",
        "numpy<2,>=1.24;platform_machine=='armv7l'",
        "numpy<2.6,>=1.24;platform_machine!='armv7l'",
        "opencv-python-headless<4.12,>=4.8.1.78;platform_machine=='armv7l'",
        "opencv-python-headless<5.1,>=4.14.0.94;platform_machine!='armv7l'andpython_version>='3.12'",
        "opencv-python-headless!=4.12.*,!=4.13.*,<5.1,>=4.11.0.86;platform_machine!='armv7l'andpython_version<'3.12'",
        "ai-edge-litert<2.4,>=2.0.2;platform_machine!='armv7l'",
        "tflite-runtime<2.15,>=2.14;platform_machine=='armv7l'",
    }
    extras = {re.sub(r"[ ()]", "", line) for line in needed if "extra" in line and "'dev'" not in line}
    assert extras == {
        "onnxruntime<1.33,>=1.23.2;extra=='onnx'",
        "opencv-python-headless>=4.14.0.94;extra=='onnx'",
        "cryptography<51,>=46.0.7;extra=='sign'",
        "starlette<1.11,>=1.10;extra=='serve'",
        "uvicorn<0.55,>=0.54;extra=='serve'",
        "prometheus-client<0.27,>=0.26;extra=='serve'",
        "python-multipart<0.1,>=0.0.34;extra=='serve'",
        "pydicom<3.1,>=3.0.2;platform_machine!='armv7l'andextra=='dicom'",
        "highdicom<0.29,>=0.28.2;platform_machine!='armv7l'andextra=='dicom'",
        "pynetdicom<3.1,>=3.0.4;platform_machine!='armv7l'andextra=='dicom'",
        "python-gdcm<3.3,>=3.2.6;platform_machine!='armv7l'andextra=='dicom-codecs'",
        "pylibjpeg<2.2,>=2.1;platform_machine!='armv7l'andextra=='dicom-codecs'",
        "pylibjpeg-openjpeg<2.7,>=2.5;platform_machine!='armv7l'andextra=='dicom-codecs'",
        "openslide-python<1.5,>=1.4.1;extra=='slides'",
        "openslide-bin<4.1,>=4.0.0.6;extra=='slides'",
        "tifffile<2026.4,>=2025.5.10;extra=='slides'",
        "imagecodecs<2026.4,>=2025.3.30;extra=='slides'",
        "pyarrow<27,>=21;platform_machine!='armv7l'andextra=='archive'",
        "fsspec<2026.10,>=2025.3;extra=='archive'",
        "pyarrow<27,>=21;platform_machine!='armv7l'andextra=='ray'",
        "fsspec<2026.10,>=2025.3;extra=='ray'",
        "ray<2.61,>=2.49;platform_machine!='armv7l'andextra=='ray'",
        "pyarrow<27,>=21;platform_machine!='armv7l'andextra=='dask'",
        "fsspec<2026.10,>=2025.3;extra=='dask'",
        "distributed<2026.9,>=2025.5;extra=='dask'",
        "tflite-runtime<2.15,>=2.14;extra=='tflite'",
        "numpy<2;extra=='tflite'",
        "opencv-python-headless<4.12;extra=='tflite'",
        "mkdocs<1.7,>=1.6;extra=='docs'",
        "mkdocs-material<9.9,>=9.6;extra=='docs'",
        "mkdocstrings[python]<1.1,>=0.30;extra=='docs'",
        "mkdocs-click<0.10,>=0.9;extra=='docs'",
    }
    assert metadata["Requires-Python"] == ">=3.10"
    assert "edge-predict = edge_runtime.cli.start:run" in entry_points
    assert "edge-bundle = edge_runtime.cli.bundle:main" in entry_points
    assert "edge-serve = edge_runtime.cli.serve:run" in entry_points
