"""Print what the compiler says of every CUDA kernel, as docs/kernels.md has it.

``python plugins/harness/register_table.py``; needs nvcc, no GPU.
"""

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[1]
ARCHITECTURES = ("86", "89", "90", "120")
ENTRY = re.compile(r"Compiling entry function '(\S+)' for 'sm_(\d+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USAGE = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")


def compile_report(nvcc: str, source: Path) -> str:
    """The report of ptxas on one source for all architectures."""
    targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in ARCHITECTURES]
    command = [nvcc, "-std=c++17", "-fatbin", "-Xptxas=-v", f"-I{PLUGINS / 'include'}", *targets, str(source)]
    done = subprocess.run([*command, "-o", "/dev/null"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stderr + done.stdout


def kernel_name(symbol: str) -> str:
    """A readable name: no parameters, no namespaces; the sort's own kernels are named by their function only."""
    name = subprocess.run(["c++filt", symbol], capture_output=True, text=True, check=True).stdout.strip()
    name = re.sub(r"\(anonymous namespace\)::|^void ", "", name)
    if "cub" in name:
        found = re.search(r"DeviceRadixSort\w+", name)
        return f"cub::{found.group() if found else name.partition('<')[0].rpartition('::')[2]}"
    name = name.partition("(")[0].replace("vexkd::device::", "").replace("__half", "f16").replace("float", "f32")
    return name


def main() -> None:
    """Compile and print."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        sys.exit("nvcc is not on the PATH")
    print("| source | kernel | " + " | ".join(f"sm_{number}" for number in ARCHITECTURES) + " | spilled bytes |")
    print("|---|---|" + "---|" * (len(ARCHITECTURES) + 1))
    for source in sorted(PLUGINS.glob("kernels/*.cu")):
        rows: dict[str, dict[str, str]] = defaultdict(dict)
        spilled: dict[str, int] = defaultdict(int)
        name = architecture = ""
        for line in compile_report(nvcc, source).splitlines():
            if entry := ENTRY.search(line):
                name, architecture = kernel_name(entry.group(1)), entry.group(2)
            elif spills := SPILLS.search(line):
                spilled[name] += int(spills.group(2)) + int(spills.group(3))
            elif usage := USAGE.search(line):
                rows[name][architecture] = f"{usage.group(1)} / {int(usage.group(2) or 0) / 1024:.1f}"
        for kernel in sorted(rows):
            cells = (rows[kernel].get(number, "–") for number in ARCHITECTURES)  # noqa: RUF001
            print(f"| {source.name} | `{kernel}` | " + " | ".join(cells) + f" | {spilled[kernel]} |")


if __name__ == "__main__":
    main()
