"""TensorRT as a runtime of bundles, through pycuda; needs the GPU the engine was built for."""

from typing import Any

import numpy as np

from vexkd.engines.bundle import Bundle
from vexkd.engines.cache import RuntimeCache
from vexkd.engines.manifest import Engine
from vexkd.engines.session import Arrays
from vexkd.engines.tensorrt_flavour import Messages, load_flavour, load_plugins
from vexkd.plugins.errors import UserError


class TensorrtRuntime:
    """A deserialised engine with its buffers reserved once: page-locked on the host, and on the device.

    Raises:
        UserError: pycuda or TensorRT is missing, is of another version than the engine, or refuses the engine.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        try:
            import pycuda.driver as cuda  # type: ignore[import-not-found]
        except ImportError as error:
            raise UserError("device tensorrt needs pycuda; install it with: pip install 'vexkd[gpu]'") from error
        flavour = load_flavour(engine.flavour)
        if flavour.version != engine.version:
            raise UserError(
                f"{engine.file} was built by {engine.flavour} {engine.version}, installed is {flavour.version}; "
                f"build it again with: vexkd export {bundle.path} --add-target {engine.target}"
            )
        load_plugins(flavour, bundle.plugin_library)
        cuda.init()
        self._cuda: Any = cuda
        # The plugins' kernels use the runtime API, which works in the device's primary context.
        self._device: Any = cuda.Device(0).retain_primary_context()
        self._device.push()
        try:
            self._prepare(flavour, bundle, engine)
        finally:
            self._device.pop()
        self.name = f"{flavour.name} {flavour.version}"

    def _prepare(self, flavour: Any, bundle: Bundle, engine: Engine) -> None:
        cuda = self._cuda
        messages = Messages(flavour)
        self._messages = messages
        self._runtime: Any = flavour.trt.Runtime(messages.logger)
        self._engine: Any = self._runtime.deserialize_cuda_engine((bundle.path / engine.file).read_bytes())
        if self._engine is None:
            raise UserError(f"{flavour.name} {flavour.version} refuses {bundle.path / engine.file}: {messages.last()}")
        self._cache = RuntimeCache(flavour, self._engine, engine.compute_capability)
        self._cache_is_kept = False
        self._context: Any = self._cache.create_context()
        self._stream: Any = cuda.Stream()
        self._inputs = [tensor.name for tensor in bundle.manifest.inputs]
        self._outputs = [tensor.name for tensor in bundle.manifest.outputs]
        self._host: dict[str, Any] = {}
        self._memory: dict[str, Any] = {}
        for tensor in (*bundle.manifest.inputs, *bundle.manifest.outputs):
            self._host[tensor.name] = cuda.pagelocked_empty(tensor.shape, np.dtype(tensor.dtype))
            self._memory[tensor.name] = cuda.mem_alloc(self._host[tensor.name].nbytes)
            self._context.set_tensor_address(tensor.name, int(self._memory[tensor.name]))

    def run(self, inputs: Arrays) -> Arrays:
        """Copy in, execute, copy out, wait; all on one stream of this session."""
        self._device.push()
        try:
            for name in self._inputs:
                np.copyto(self._host[name], inputs[name])
                self._cuda.memcpy_htod_async(self._memory[name], self._host[name], self._stream)
            if not self._context.execute_async_v3(self._stream.handle):
                raise RuntimeError(f"TensorRT could not run the engine: {self._messages.last()}")
            for name in self._outputs:
                self._cuda.memcpy_dtoh_async(self._host[name], self._memory[name], self._stream)
            self._stream.synchronize()
            if not self._cache_is_kept:
                self._cache.keep()
                self._cache_is_kept = True
        finally:
            self._device.pop()
        return {name: np.array(self._host[name]) for name in self._outputs}
