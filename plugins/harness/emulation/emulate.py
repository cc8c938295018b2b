"""Compile the CUDA kernels for the CPU: ``build(folder)`` gives a library whose ``vexkd_*_cuda`` take host memory.

The kernels' sources are used as they are, but for the launches: ``kernel<<<grid, block, 0, stream>>>(arguments);``
becomes a call of ``emulation::launch``.
"""

import re
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLUGINS = HERE.parents[1]
KERNELS = PLUGINS / "kernels"
BUILD_INFO = ("VERSION", "CUDA_VERSION", "CUDA_CODE", "TENSORRT_BUILD")
LAUNCH = re.compile(r"(\w+)<<<([^;]+?), kBlock, 0, stream>>>\(([^;]*)\);")


def rewrite_launches(source: str) -> str:
    """CUDA source with its launches as calls.

    Raises:
        ValueError: a launch has another form.
    """
    rewritten = LAUNCH.sub(r"emulation::launch(\2, kBlock, [&] { \1(\3); });", source)
    if "<<<" in rewritten:
        raise ValueError("a kernel launch is not of the form kernel<<<grid, kBlock, 0, stream>>>(arguments);")
    return rewritten


def build(folder: Path, compiler: str = "c++", flags: tuple[str, ...] = ("-O1",)) -> Path:
    """Build the emulated library in a folder and return its path.

    Raises:
        RuntimeError: the compiler refuses, with its output.
    """
    plain = [KERNELS / f"{name}.cpp" for name in ("checks", "cuda_workspace", "types")]
    return build_from(folder, [*plain, *sorted(KERNELS.glob("*.cu"))], compiler, flags)


def build_from(folder: Path, given: list[Path], compiler: str = "c++", flags: tuple[str, ...] = ("-O1",)) -> Path:
    """Build an emulated library from C++ and CUDA sources in a folder and return its path.

    Raises:
        RuntimeError: the compiler refuses, with its output.
    """
    sources = [HERE / "emulation.cpp", *(path for path in given if path.suffix != ".cu")]
    for cuda in (path for path in given if path.suffix == ".cu"):
        source = folder / f"{cuda.stem}_emulated.cpp"
        source.write_text(rewrite_launches(cuda.read_text(encoding="utf-8")), encoding="utf-8")
        sources.append(source)
    library = folder / "libvexkd_emulated.so"
    includes = [HERE / "include", KERNELS, PLUGINS / "include"]
    # Fortified jumps would take the switch to another fibre's stack for an error.
    command = [compiler, "-std=c++17", "-shared", "-fPIC", "-ffp-contract=off", "-U_FORTIFY_SOURCE", *flags]
    command += [f'-DVEXKD_{name}="emulated"' for name in BUILD_INFO]
    command += [f"-I{path}" for path in includes] + [str(path) for path in sources] + ["-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return library
