"""A network that another serving engine runs: an engine like any other to the model that it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np

from appliance.oip.client import Client, connect
from appliance.questions.tensors import Tensor, datatype_of
from engines.engine import Array, EngineError, Tensors, TensorSpec
from engines.onnxrt import OnnxEngine
from engines.tensorrt.admission import compare
from engines.tensorrt.golden import golden_inputs
from engines.tensorrt.recipe import Recipe

WITHIN_S = 30.0
"""For one call; who waits for less long calls it off."""
TOLERANCE = "fp16"
"""A server may run the network in half precision."""


class OipEngine:
    """See `Engine` for the contract. The server is believed once it answers the golden inputs as the network does."""

    name = "oip"

    def __init__(self, url: str, model: str, recipe: Recipe) -> None:
        """`model`: its name at the server `url`. `recipe`: the same network here, run only to compare."""
        self._url, self._model, self._recipe = url, model, recipe
        self._client: Client | None = None
        self.inputs: tuple[TensorSpec, ...] = ()
        self.outputs: tuple[TensorSpec, ...] = ()

    def __enter__(self) -> OipEngine:
        """Raises EngineError when the server does not have this model ready, or has another one of its name."""
        client = connect(self._url, WITHIN_S)
        self._client = client
        try:
            metadata = client.model(self._model)
            with OnnxEngine(self._recipe.network) as network:
                self.inputs, self.outputs = network.inputs, network.outputs
                self._compare("inputs", self.inputs, metadata.get("inputs"))
                self._compare("outputs", self.outputs, metadata.get("outputs"))
                samples = golden_inputs(self._recipe, self.inputs)
                expected = [network.run(sample) for sample in samples]
            found = [self.run(sample) for sample in samples]
            verdict = compare(self._recipe.manifest, self.outputs, expected, found, TOLERANCE)
            if not verdict.admitted:
                raise EngineError(
                    f"{self._url}: its model {self._model} is another network than the bundle's: {verdict.words}; "
                    "serve the bundle's there"
                )
        except EngineError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Run once. The returned arrays are fresh: nothing overwrites them."""
        assert self._client is not None, "run needs an open engine"
        given = [Tensor(spec.name, np.ascontiguousarray(inputs[spec.name]), {}) for spec in self.inputs]
        wanted = [spec.name for spec in self.outputs]
        answers = {tensor.name: tensor.array for tensor in self._client.infer(self._model, given, wanted)}
        return {spec.name: self._checked(spec, answers) for spec in self.outputs}

    def cancel(self) -> None:
        client = self._client
        if client is not None:
            client.cancel()

    def _checked(self, spec: TensorSpec, answers: Tensors) -> Array:
        array = answers.get(spec.name)
        if array is None:
            raise EngineError(
                f"{self._url}: {self._model} gave no {spec.name}; it gave {', '.join(answers) or 'nothing'}"
            )
        if array.dtype != spec.dtype:
            raise EngineError(f"{self._url}: {self._model} gave {spec.name} as {array.dtype}, expected {spec.dtype}")
        return array

    def _compare(self, kind: str, specs: Sequence[TensorSpec], told: Any) -> None:
        """The server's own description, where it has one (MLServer has none for a runtime that declares nothing)."""
        if not isinstance(told, list) or not told:
            return
        theirs = {str(each.get("name")): str(each.get("datatype")) for each in told if isinstance(each, dict)}
        ours = {spec.name: datatype_of(np.empty(0, spec.dtype)) for spec in specs}
        if any(theirs.get(name) != datatype for name, datatype in ours.items()):
            raise EngineError(
                f"{self._url}: its model {self._model} has the {kind} {_listed(theirs)}; the bundle's network has "
                f"{_listed(ours)}: serve that network there"
            )


def _listed(tensors: dict[str, str]) -> str:
    return ", ".join(f"{name} ({datatype})" for name, datatype in tensors.items())
