"""Build both native libraries with c++ and nvcc alone, where there is no cmake: ``make native`` calls this then.

``python plugins/harness/build_native.py build/native [ON|OFF|AUTO]``; the flags are those of CMakeLists.txt, the GPU
code is for the GPU of this machine only, or where none is found for compute capability 8.9.
"""

import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[1]
KERNELS, TENSORRT = PLUGINS / "kernels", PLUGINS / "tensorrt"
INCLUDES = [f"-I{path}" for path in (PLUGINS / "include", PLUGINS, TENSORRT, KERNELS)]
HIDDEN = ("-fPIC", "-fvisibility=hidden", "-fvisibility-inlines-hidden")
HOST_FLAGS = ("-std=gnu++17", "-O3", "-DNDEBUG", *HIDDEN, "-ffp-contract=off", "-pthread")
KERNEL_FLAGS = ("-fno-math-errno", "-fno-trapping-math")
LINK_FLAGS = ("-znodelete", "-zdefs", "--exclude-libs=ALL")
STATIC = ("-static-libstdc++", "-static-libgcc")


def run(command: list[str]) -> None:
    """Run a command; its output, and the end of the program, if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def compile_command(source: Path, target: Path, nvcc: str | None) -> list[str]:
    """How one source becomes an object."""
    if source.suffix == ".cu":
        assert nvcc is not None
        architecture = "native" if shutil.which("nvidia-smi") else "sm_89"
        host = ",".join(HIDDEN)
        return [nvcc, "-std=c++17", "-O3", f"-arch={architecture}", f"-Xcompiler={host}", *INCLUDES, "-c", str(source),
                "-o", str(target)]  # fmt: skip
    flags = [*HOST_FLAGS, *INCLUDES]
    if nvcc is not None:
        flags.append("-DVEXKD_WITH_CUDA")
    if source.parent == KERNELS:
        flags += KERNEL_FLAGS
        if platform.machine() in ("x86_64", "AMD64"):
            flags.append("-mprefer-vector-width=512")
    return [os.environ.get("CXX", "c++"), *flags, "-c", str(source), "-o", str(target)]


def link_command(objects: list[Path], library: Path, nvcc: str | None, *options: str) -> list[str]:
    """How objects become a library; CUDA's runtime is linked statically."""
    files, linker = [*map(str, objects), "-o", str(library)], [*LINK_FLAGS, *options]
    if nvcc is None:
        passed = [f"-Wl,{option}" for option in linker]
        return [os.environ.get("CXX", "c++"), "-shared", "-pthread", *STATIC, *passed, *files]
    passed = [f"-Xlinker={option}" for option in linker]
    return [nvcc, "-shared", "-cudart=static", f"-Xcompiler={','.join((*STATIC, '-pthread'))}", *passed, *files]


def main() -> None:
    """Compile side by side, then link."""
    folder, wish = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "AUTO"
    nvcc = None if wish == "OFF" else shutil.which("nvcc")
    if wish == "ON" and nvcc is None:
        sys.exit("CUDA=ON, but nvcc is not on the PATH")
    folder.mkdir(parents=True, exist_ok=True)
    kernels = sorted([*KERNELS.glob("*.cpp"), *KERNELS.glob("*.cu")])
    unused = {"no_cuda.cpp"} if nvcc else {path.name for path in KERNELS.glob("*.cu")}
    kernels = [path for path in kernels if path.name not in unused]
    plugins = sorted(TENSORRT.glob("*.cpp"))
    objects = {source: folder / f"{source.name}.o" for source in (*kernels, *plugins)}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda source: run(compile_command(source, objects[source], nvcc)), objects))
    ours = [objects[source] for source in kernels]
    run(link_command(ours, folder / "libvexkd_kernels.so", nvcc))
    script = f"--version-script={PLUGINS / 'exports.map'}"
    theirs = [objects[source] for source in plugins]
    run(link_command([*ours, *theirs], folder / "libvexkd_plugins.so", nvcc, script))
    print(f"built without cmake, {'with' if nvcc else 'without'} CUDA: {folder}")


if __name__ == "__main__":
    main()
