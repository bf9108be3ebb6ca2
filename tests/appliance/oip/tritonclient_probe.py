"""Asks a server with NVIDIA's client, over HTTP and gRPC, with its defaults: run by the interpreter that has it.

usage: tritonclient_probe.py HTTP GRPC MODEL INPUTS.npz OUTPUTS.npz

Prints JSON: by transport and step what came back, or the error. The arrays go into OUTPUTS.npz by transport and step.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc  # type: ignore[import-not-found]  # it is in an environment of its own
import tritonclient.http  # type: ignore[import-not-found]
from tritonclient.utils import InferenceServerException, np_to_triton_dtype  # type: ignore[import-not-found]


class Probe:
    """One transport."""

    def __init__(self, transport: str, module: Any, address: str, model: str, arrays: dict[str, Any]) -> None:
        self.client = module.InferenceServerClient(address)
        self.transport, self.module, self.model, self.arrays = transport, module, model, arrays
        self.said: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}

    def step(self, name: str, ask: Callable[[], Any]) -> None:
        """Ask, and write down what is said."""
        try:
            answer = ask()
            self.said[name] = answer if isinstance(answer, (bool, dict, list, type(None))) else str(answer)
        except InferenceServerException as error:
            self.said[name] = {"error": error.message(), "status": error.status()}

    def inputs(self, arrays: dict[str, Any], **options: Any) -> list[Any]:
        made = []
        for name, array in arrays.items():
            one = self.module.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
            one.set_data_from_numpy(array, **options)
            made.append(one)
        return made

    def infer(self, step: str, arrays: dict[str, Any] | None = None, model: str = "", **options: Any) -> None:
        """An inference whose outputs are kept under the name of the step."""
        of_inputs = options.pop("of_inputs", {})
        arrays = self.arrays if arrays is None else arrays

        def ask() -> bool:
            result = self.client.infer(model or self.model, self.inputs(arrays, **of_inputs), **options)
            listed = result.get_response()
            outputs = listed["outputs"] if isinstance(listed, dict) else listed.outputs
            for output in outputs:
                name = output["name"] if isinstance(output, dict) else output.name
                self.outputs[f"{self.transport} {step} {name}"] = result.as_numpy(name)
            return True

        self.step(step, ask)

    def run(self) -> None:
        """Everything a caller may want to know."""
        client, model = self.client, self.model
        as_json = {} if self.transport == "http" else {"as_json": True}
        self.step("live", client.is_server_live)
        self.step("ready", client.is_server_ready)
        self.step("model ready", lambda: client.is_model_ready(model))
        self.step("server metadata", lambda: client.get_server_metadata(**as_json))
        self.step("model metadata", lambda: client.get_model_metadata(model, **as_json))
        self.step("model config", lambda: client.get_model_config(model, **as_json))
        self.step("index", lambda: client.get_model_repository_index(**as_json))
        self.infer("infer", request_id="seven")
        self.wrong()
        if self.transport == "http":
            self.http_only()
        self.step("statistics", lambda: client.get_inference_statistics(model, **as_json))
        self.step("all statistics", lambda: client.get_inference_statistics(**as_json))
        self.step("unload", lambda: client.unload_model(model))
        self.step("ready after unload", lambda: client.is_model_ready(model))
        self.infer("infer after unload")
        self.step("load", lambda: client.load_model(model))
        self.infer("infer after load")

    def wrong(self) -> None:
        """What must be refused."""
        name, array = next(iter(self.arrays.items()))
        rest = {key: value for key, value in self.arrays.items() if key != name}
        self.infer("unknown model", model="nosuch")
        self.infer("wrong shape", {name: array[..., :-1], **rest})
        self.infer("wrong type", {name: array.astype("f8"), **rest})
        self.infer("wrong name", {"nosuch": array, **rest})
        self.step("unknown metadata", lambda: self.client.get_model_metadata("nosuch"))

    def http_only(self) -> None:
        """JSON numbers instead of raw bytes, and compressed bodies."""
        self.infer("infer json", of_inputs={"binary_data": False}, outputs=self.json_outputs())
        for algorithm in ("gzip", "deflate"):
            both: dict[str, Any] = {
                "request_compression_algorithm": algorithm,
                "response_compression_algorithm": algorithm,
            }
            self.infer(f"infer {algorithm}", **both)

    def json_outputs(self) -> list[Any]:
        outputs = self.client.get_model_metadata(self.model)["outputs"]
        return [tritonclient.http.InferRequestedOutput(output["name"], binary_data=False) for output in outputs]


def main(http: str, grpc: str, model: str, given: str, into: str) -> None:
    """Both transports."""
    with np.load(given) as file:
        arrays = {name: file[name] for name in file.files}
    probes = [
        Probe("http", tritonclient.http, http, model, arrays),
        Probe("grpc", tritonclient.grpc, grpc, model, arrays),
    ]
    for probe in probes:
        probe.run()
        probe.client.close()
    np.savez(into, **{name: array for probe in probes for name, array in probe.outputs.items()})
    print(json.dumps({probe.transport: probe.said for probe in probes}))


if __name__ == "__main__":
    main(*sys.argv[1:])
