"""The operators on the CUDA provider: a made-up ONNX Runtime around the emulated kernels, and the real one on a GPU."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
from cuda_backends import load_emulate

from vexkd.plugins.library import find_library
from vexkd.plugins.pillar_max import pillar_max

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


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_on_a_device(dtype: type[np.generic]) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    from onnx import helper
    from onnx_nodes import node_model

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_003, 33)).astype(dtype)
    inputs = {"features": features, "cells": rng.integers(-1, 200, len(features)).astype(np.int32)}
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    options.register_custom_ops_library(str(find_library()))
    model = node_model("PillarMax", inputs, {"bev": (kind, None)}, height=10, width=20)
    session = onnxruntime.InferenceSession(model, options, providers=["CUDAExecutionProvider"])
    expected = pillar_max(*inputs.values(), 1, 10, 20)
    for _ in range(3):
        np.testing.assert_array_equal(session.run(None, inputs)[0], expected)
