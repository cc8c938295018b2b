"""Build the native library with c++ and nvcc alone, where there is no cmake: ``make native`` calls this then.

``python plugins/harness/build_native.py PREFIX [ON|OFF|AUTO]``; the flags are those of CMakeLists.txt, the GPU code is
for the GPU of this machine only, or where none is found for compute capability 8.9. Without nlohmann-json the library
lacks the C++ runtime.
"""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[1]
ROOT = PLUGINS.parent
RUNTIME = ROOT / "engines" / "cpp"
KERNELS = PLUGINS / "kernels"
INCLUDES = [
    f"-I{path}"
    for path in (
        *(PLUGINS / "include", RUNTIME / "include", KERNELS),
        *(PLUGINS / "tensorrt", PLUGINS / "onnxruntime", RUNTIME / "src"),
    )
]
HIDDEN = ("-fPIC", "-fvisibility=hidden", "-fvisibility-inlines-hidden")
SECTIONS = ("-ffunction-sections", "-fdata-sections")
HOST_FLAGS = ("-std=gnu++17", "-O3", "-DNDEBUG", *HIDDEN, *SECTIONS, "-ffp-contract=off", "-pthread")
KERNEL_FLAGS = ("-fno-math-errno", "-fno-trapping-math")
LINK_FLAGS = ("-znodelete", "-zdefs", "--exclude-libs=ALL", "--gc-sections", "-Bsymbolic")
STATIC = ("-static-libstdc++", "-static-libgcc")


def setting(pattern: str, file: str) -> str:
    """What CMakeLists.txt, or a header, says."""
    found = re.search(pattern, (ROOT / file).read_text())
    assert found is not None, pattern
    return found.group(1)


VERSION = setting(r"project\(vexkd VERSION ([0-9.]+)", "CMakeLists.txt")
ABI_VERSION = setting(r"VEXKD_ABI_VERSION (\d+)", "CMakeLists.txt")


def definitions(nvcc: str | None, architecture: str) -> list[str]:
    """The macros that CMakeLists.txt defines."""
    code = re.sub(r"sm_(\d+)(\d)", r"\1.\2", architecture) if nvcc else ""
    texts = {
        "VEXKD_VERSION": VERSION,
        "VEXKD_CUDA_VERSION": "as of nvcc on the PATH" if nvcc else "none",
        "VEXKD_CUDA_CODE": code,
        "VEXKD_TENSORRT_BUILD": "without TensorRT's headers",
    }
    return [f'-D{name}="{text}"' for name, text in texts.items()] + [f"-DVEXKD_SOVERSION={ABI_VERSION}"]


def json_include() -> list[str]:
    """Where nlohmann/json.hpp is, if it is."""
    spec = importlib.util.find_spec("nlohmann_json")
    if spec is not None and spec.origin is not None:
        return [f"-isystem{Path(spec.origin).parent / 'include'}"]
    system = Path("/usr/include/nlohmann/json.hpp")
    return [f"-isystem{system.parents[1]}"] if system.is_file() else []


def gpu_architecture() -> str:
    """sm_89 of the first GPU, or where there is none that of the reference machine."""
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        if answer:
            return f"sm_{answer[0].replace('.', '')}"
    return "sm_89"


def run(command: list[str]) -> None:
    """Run a command; its output, and the end of the program, if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def compile_command(source: Path, target: Path, nvcc: str | None, architecture: str) -> list[str]:
    """How one source becomes an object."""
    if source.suffix == ".cu":
        assert nvcc is not None
        host = ",".join(HIDDEN)
        return [nvcc, "-std=c++17", "-O3", f"-arch={architecture}", f"-Xcompiler={host}", *INCLUDES, "-c", str(source),
                "-o", str(target)]  # fmt: skip
    flags = [*HOST_FLAGS, *INCLUDES, *json_include(), *definitions(nvcc, architecture)]
    if nvcc is not None:
        flags.append("-DVEXKD_WITH_CUDA")
    if source.parent == KERNELS:
        flags += KERNEL_FLAGS
        if platform.machine() in ("x86_64", "AMD64"):
            flags.append("-mprefer-vector-width=512")
    return [os.environ.get("CXX", "c++"), *flags, "-c", str(source), "-o", str(target)]


def link_command(objects: list[Path], library: Path, nvcc: str | None) -> list[str]:
    """How objects become a library; CUDA's runtime is linked statically."""
    script = f"--version-script={PLUGINS / 'exports.map'}"
    files, linker = [*map(str, objects), "-o", str(library)], [*LINK_FLAGS, script, f"-soname={library.name}"]
    if nvcc is None:
        passed = [f"-Wl,{option}" for option in linker]
        return [os.environ.get("CXX", "c++"), "-shared", "-pthread", *STATIC, *passed, *files, "-ldl"]
    passed = [f"-Xlinker={option}" for option in linker]
    return [nvcc, "-shared", "-cudart=static", f"-Xcompiler={','.join((*STATIC, '-pthread'))}", *passed, *files, "-ldl"]


def sources(nvcc: str | None) -> list[Path]:
    """What is compiled; without TensorRT's headers, as here, the runtime has no TensorRT."""
    kernels = [*KERNELS.glob("*.cpp"), *(KERNELS.glob("*.cu") if nvcc else [])]
    kernels = [path for path in kernels if not (nvcc and path.name == "no_cuda.cpp")]
    plugins = [*(PLUGINS / "tensorrt").glob("*.cpp"), *(PLUGINS / "onnxruntime").glob("*.cpp")]
    runtime = [path for path in (RUNTIME / "src").glob("*.cpp") if not path.name.startswith("tensorrt_")]
    return sorted([*kernels, *plugins, *(runtime if json_include() else [])])


def main() -> None:
    """Compile side by side, then link; headers beside it."""
    prefix, wish = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "AUTO"
    nvcc = None if wish == "OFF" else shutil.which("nvcc")
    if wish == "ON" and nvcc is None:
        sys.exit("CUDA=ON, but nvcc is not on the PATH")
    architecture = gpu_architecture()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = {source: Path(folder) / f"{source.parent.name}-{source.name}.o" for source in sources(nvcc)}
        list(pool.map(lambda source: run(compile_command(source, objects[source], nvcc, architecture)), objects))
        (prefix / "lib").mkdir(parents=True, exist_ok=True)
        run(link_command(list(objects.values()), prefix / "lib" / f"libvexkd.so.{ABI_VERSION}", nvcc))
    for include in (PLUGINS / "include", RUNTIME / "include"):
        shutil.copytree(include, prefix / "include", dirs_exist_ok=True)
    parts = f"{'with' if nvcc else 'without'} CUDA, {'with' if json_include() else 'without'} the C++ runtime"
    print(f"built without cmake, {parts}: {prefix}")


if __name__ == "__main__":
    main()
