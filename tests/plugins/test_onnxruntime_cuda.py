"""The operators on the CUDA provider, with a made-up ONNX Runtime around the emulated kernels: no GPU has run them."""

import ctypes
from pathlib import Path

import pytest
from cuda_backends import load_emulate

PLUGINS = Path(__file__).parents[2] / "plugins"
FLAGS = ("-O1", "-DVEXKD_WITH_CUDA", f"-I{PLUGINS / 'onnxruntime'}", "-pthread")


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The operators, all kernels and fake_onnxruntime.cpp in one library."""
    kernels = [path for path in (PLUGINS / "kernels").glob("*.c*") if path.suffix in (".cpp", ".cu")]
    sources = [path for path in kernels if path.name != "no_cuda.cpp"]
    sources += [*(PLUGINS / "onnxruntime").glob("*.cpp"), Path(__file__).with_name("fake_onnxruntime.cpp")]
    folder = tmp_path_factory.mktemp("fake-onnxruntime")
    library = ctypes.CDLL(str(load_emulate().build_from(folder, sorted(sources), flags=FLAGS)))
    for name in ("providers_agree", "missing_scratch_is_told", "domains_are_few", "old_versions_are_refused"):
        getattr(library, name).restype = ctypes.c_char_p
    return library


@pytest.mark.parametrize("seed", range(5))
def test_both_providers_give_the_same_and_give_back_what_they_were_lent(fake: ctypes.CDLL, seed: int) -> None:
    fake.vexkd_emulation_seed(ctypes.c_uint32(seed))
    assert fake.providers_agree(ctypes.c_uint32(seed)) is None


def test_a_provider_without_memory_is_told(fake: ctypes.CDLL) -> None:
    assert fake.missing_scratch_is_told() is None


def test_sessions_share_a_domain_for_each_number_of_threads(fake: ctypes.CDLL) -> None:
    assert fake.domains_are_few() is None


def test_an_onnx_runtime_that_is_too_old_is_refused(fake: ctypes.CDLL, capfd: pytest.CaptureFixture[str]) -> None:
    assert fake.old_versions_are_refused() is None
    assert "need ONNX Runtime 1.18 or newer, this one is 1.9.9" in capfd.readouterr().err
