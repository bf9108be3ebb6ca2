"""TensorRT through PyCUDA: plans built in a process of their own, kept in a cache, run as one CUDA graph per frame.

Importing this package loads neither. What needs them is imported after `engines.gpu.probe` has said yes: without a
GPU, TensorRT hands back objects whose next use ends the process.
"""
