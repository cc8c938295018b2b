"""Oracle of all kernels: the operators in plain numpy, written to be read; same signatures as ``vexkd.plugins``."""
