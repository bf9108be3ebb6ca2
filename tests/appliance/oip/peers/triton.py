"""Triton with one ONNX network, run by the interpreter that has nvidia-pytriton and onnxruntime.

usage: triton.py NETWORK.onnx NAME HTTP_PORT GRPC_PORT METRICS_PORT
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from pytriton.decorators import batch  # type: ignore[import-not-found]  # it is in an environment of its own
from pytriton.model_config import ModelConfig, Tensor  # type: ignore[import-not-found]
from pytriton.triton import Triton, TritonConfig  # type: ignore[import-not-found]

TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}


def main(path: str, name: str, http: str, grpc: str, metrics: str) -> None:
    """Serve until told to stop."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    @batch  # type: ignore[untyped-decorator]
    def infer(**inputs: Any) -> list[Any]:
        return list(session.run(None, inputs))

    def tensors(nodes: Any) -> list[Any]:
        return [Tensor(name=node.name, dtype=TYPES[node.type], shape=tuple(node.shape[1:])) for node in nodes]

    where = TritonConfig(
        http_address="127.0.0.1",
        http_port=int(http),
        grpc_address="127.0.0.1",
        grpc_port=int(grpc),
        metrics_port=int(metrics),
    )
    with Triton(config=where) as triton:
        triton.bind(
            model_name=name,
            infer_func=infer,
            inputs=tensors(session.get_inputs()),
            outputs=tensors(session.get_outputs()),
            config=ModelConfig(max_batch_size=1),
        )
        triton.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
