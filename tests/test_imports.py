"""Imports point one way, and what must work without torch does."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("export", "engines", "plugins", "cli")
ALLOWED = {
    "plugins": set[str](),
    "engines": {"plugins"},
    "vexkd": {"plugins"},
    "export": {"plugins", "engines", "vexkd"},
    "cli": {"plugins", "engines", "vexkd", "export"},
}
"""Which other rooms a room may import; ``vexkd`` is the training core."""

TORCH_FREE_ROOMS = ("plugins", "engines")
TORCH = {"torch", "lightning", "transformers", "safetensors", "onnxscript"}


def files(room: str) -> list[Path]:
    if room != "vexkd":
        return sorted((ROOT / room).rglob("*.py"))
    # The rooms are links in this folder, which some versions of rglob follow.
    links = tuple(ROOT / "vexkd" / name for name in (*ROOMS, "configs"))
    own = [path for path in (ROOT / "vexkd").rglob("*.py") if not any(link in path.parents for link in links)]
    # `python -m vexkd` is the command line's door.
    return sorted(path for path in own if path.name != "__main__.py")


def imported(path: Path) -> set[str]:
    """Full names of all modules that a file imports anywhere, in functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name; the full name is the house's rule"
            module = node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names} if module == "vexkd" else {module}
    return names


def room_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != "vexkd" or module in ("vexkd", "vexkd.__version__"):
        return None
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else "vexkd"


@pytest.mark.parametrize("room", list(ALLOWED))
def test_imports_point_one_way(room: str) -> None:
    assert files(room), f"no Python file found in {room}"
    for path in files(room):
        for module in imported(path):
            target = room_of(module)
            assert target in {None, room} | ALLOWED[room], f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("room", TORCH_FREE_ROOMS)
def test_rooms_of_a_deployed_machine_never_import_torch(room: str) -> None:
    for path in files(room):
        heavy = {module.partition(".")[0] for module in imported(path)} & TORCH
        assert not heavy, f"{path.relative_to(ROOT)} imports {', '.join(heavy)}"


def test_no_room_is_imported_by_its_bare_name() -> None:
    for room in ALLOWED:
        for path in files(room):
            bare = {module.partition(".")[0] for module in imported(path)} & {"export", "engines", "cli"}
            assert not bare, f"{path.relative_to(ROOT)} imports {', '.join(bare)} by a bare name"


TORCH_FREE_MODULES = (
    "vexkd",
    "vexkd.config",
    "vexkd.geometry",
    "vexkd.classes",
    "vexkd.data",
    "vexkd.viz",
    "vexkd.cli.app",
    "vexkd.export",
    *(f"vexkd.engines.{path.stem}" for path in files("engines") if path.stem != "__init__"),
    *(f"vexkd.plugins.{path.stem}" for path in sorted((ROOT / "plugins").glob("*.py")) if path.stem != "__init__"),
)

BLOCKED = """
import importlib, sys
for name in {names!r}:
    sys.modules[name] = None
for name in {modules!r}:
    importlib.import_module(name)
{then}
"""


def run_without_torch(modules: tuple[str, ...], then: str = "") -> str:
    program = BLOCKED.format(names=sorted(TORCH), modules=modules, then=then)
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_base_modules_import_where_torch_cannot() -> None:
    run_without_torch(TORCH_FREE_MODULES)


def test_a_bundle_runs_where_torch_cannot(tmp_path: Path) -> None:
    from tiny_bundles import make_bundle

    bundle = make_bundle(tmp_path / "by-hand.vexkd")
    then = f"""
from pathlib import Path
from vexkd.engines.bench import measure
from vexkd.engines.bundle import read_bundle
from vexkd.engines.doctor import examine
measured = measure(read_bundle(Path({str(bundle.path)!r})), "cpu", repeats=2, warm_up=0, threads=1)
print(measured.bundle, len(examine()) > 5, "torch" in sys.modules and sys.modules["torch"] is not None)
"""
    assert run_without_torch((), then).split() == ["by-hand", "True", "False"]
