"""Which TensorRT is there: NVIDIA's full ``tensorrt``, or ``tensorrt_rtx``, which plain pip installs.

Both have one Python API under two names. The full one builds only for the GPU it runs on; the RTX one builds for any
RTX GPU on a machine without one.
"""

import atexit
import ctypes
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vexkd.plugins.errors import UserError
from vexkd.plugins.files import sha256

Name = Literal["tensorrt", "tensorrt_rtx"]
INSTALL: dict[Name, str] = {
    "tensorrt": "pip install 'vexkd[gpu]' (NVIDIA's full TensorRT)",
    "tensorrt_rtx": "pip install 'vexkd[rtx]' (TensorRT for RTX)",
}

PLUGINS = ("Voxelize", "PillarMax", "BevPool", "FrustumIndex")

_loaded: dict[str, "Flavour"] = {}
_libraries: dict[str, str] = {}
"""SHA-256 of the plugin library that each flavour took."""


@dataclass(frozen=True)
class Flavour:
    """An imported TensorRT."""

    name: Name
    version: str
    trt: Any
    """The module, used as ``import tensorrt as trt`` would give it."""


class Messages:
    """What a TensorRT logger heard, oldest first.

    Args:
        flavour: whose logger it is.
        everything: hear also what is no warning and no error: thousands of lines, for the log of a build.
    """

    def __init__(self, flavour: Flavour, everything: bool = False) -> None:
        self.log: list[tuple[str, str]] = []
        """Severity in lower case ("error") and text of each message."""
        self.lines: list[str] = []
        """Texts of the warnings and errors."""
        log, lines, severities = self.log, self.lines, flavour.trt.ILogger.Severity
        loud, heard = int(severities.WARNING), int(severities.VERBOSE if everything else severities.WARNING)

        class Logger(flavour.trt.ILogger):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()

            def log(self, severity: Any, message: str) -> None:
                if int(severity) <= heard:
                    log.append((severity.name.lower(), message))
                if int(severity) <= loud:
                    lines.append(message)

        self.logger = Logger()

    def last(self) -> str:
        """The last message on one line, for an error text."""
        return " ".join(self.lines[-1].split()) if self.lines else "no reason given"


def is_installed(name: Name) -> bool:
    """Whether the package is there; nothing is imported."""
    return importlib.util.find_spec(name) is not None


def load_flavour(name: Name) -> Flavour:
    """Import one flavour of TensorRT.

    Raises:
        UserError: it is not installed or cannot be loaded.
    """
    if name in _loaded:
        return _loaded[name]
    if not is_installed(name):
        raise UserError(f"{name} is not installed; install it with: {INSTALL[name]}")
    try:
        if name == "tensorrt_rtx":
            _link_unversioned()
        trt = importlib.import_module(name)
        version = str(trt.__version__)
        trt.Builder  # noqa: B018  the public index has empty packages under NVIDIA's names
    except (ImportError, OSError, AttributeError) as error:
        raise UserError(f"{name} is installed but cannot be loaded: {error}; reinstall it: {INSTALL[name]}") from error
    _loaded[name] = Flavour(name, version, trt)
    return _loaded[name]


def load_plugins(flavour: Flavour, library: Path) -> None:
    """Register our plugins from their library with TensorRT; an identical library needs no second time.

    Raises:
        UserError: the library cannot be loaded or brings no plugin of ours, or another one was loaded before: a
            process can hold one version of a plugin only.
    """
    digest = sha256(library)
    loaded = _libraries.get(flavour.name)
    if loaded == digest:
        return
    if loaded is not None:
        raise UserError(
            f"{library} differs from the plugin library that this process already uses (sha256 {digest[:12]} and "
            f"{loaded[:12]}); use the two in separate processes, or export both bundles with one version of VeXKD"
        )
    registry = flavour.trt.get_plugin_registry()
    handle = registry.load_library(str(library.resolve()))
    missing = [name for name in PLUGINS if not registry.get_creator(name, "1", "vexkd")]
    if handle is None or missing:
        raise UserError(f"{flavour.name} {flavour.version} takes no plugins from {library}; build it with: make native")
    _libraries[flavour.name] = digest


def _link_unversioned() -> None:
    """Let the ONNX parser find ``libtensorrt_rtx.so``.

    It opens the library by that name from its own folder ($ORIGIN), where the wheel has ``libtensorrt_rtx.so.1`` only,
    and ends the process when it fails. So the parser is opened through a private folder of links that has both names;
    the package then gets this already opened one. The wheel's folder, which may be read-only, stays as it is.
    """
    spec = importlib.util.find_spec("tensorrt_rtx_libs")
    if spec is None or spec.origin is None:
        return
    libraries = sorted(Path(spec.origin).resolve().parent.glob("lib*.so.*"))
    parser = next((library for library in libraries if "onnxparser" in library.name), None)
    if parser is None:
        return
    if "tensorrt_rtx_libs" not in sys.modules:
        links = Path(tempfile.mkdtemp(prefix="vexkd-tensorrt-rtx-"))
        atexit.register(shutil.rmtree, links, ignore_errors=True)
        for library in libraries:
            (links / library.name).symlink_to(library)
            (links / (library.name.partition(".so")[0] + ".so")).symlink_to(library)
            ctypes.CDLL(str(links / library.name))
    if not (_origin(parser) / "libtensorrt_rtx.so").exists():
        raise UserError(
            "tensorrt_rtx was imported before vexkd.engines.tensorrt_flavour could prepare it, and its ONNX parser "
            "would end the process; import vexkd.engines.tensorrt_flavour and call load_flavour first"
        )


def _origin(library: Path) -> Path:
    """Folder that the dynamic linker remembers for a library that is already open."""
    handle = ctypes.CDLL(str(library), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    folder = ctypes.create_string_buffer(4096)
    ctypes.CDLL(None).dlinfo(ctypes.c_void_p(handle._handle), ctypes.c_int(6), folder)  # RTLD_DI_ORIGIN
    return Path(os.fsdecode(folder.value))
