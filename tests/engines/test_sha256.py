"""The runtime's own SHA-256 against Python's."""

import hashlib
import random
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_digests_are_those_of_hashlib(tmp_path: Path) -> None:
    program = tmp_path / "sha256_check"
    source = CHECKOUT / "tests/engines/sha256_check.cpp"
    command = ["c++", "-std=c++17", "-O2", f"-I{CHECKOUT / 'engines/cpp/src'}", str(source), "-o", str(program)]
    subprocess.run(command, check=True, timeout=120)
    data = random.Random(3).randbytes(100_003)
    told = subprocess.run([program], input=data, capture_output=True, check=True, timeout=60).stdout.decode().split()
    expected = [hashlib.sha256(data[:size]).hexdigest() for size in range(200)]
    assert told == [*expected, hashlib.sha256(data).hexdigest(), "agree"]
