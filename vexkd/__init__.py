"""VeXKD: cross-modal knowledge distillation for bird's-eye-view perception, from training to TensorRT.

Importing this package is cheap: no room is imported until it is named, and none of the base rooms needs torch.
"""

__version__ = "0.1.0"
