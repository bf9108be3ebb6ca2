"""An MLServer runtime for one ONNX network: `implementation` in its model-settings.json, `uri` names the file."""

from __future__ import annotations

import onnxruntime  # type: ignore[import-untyped]
from mlserver import MLModel  # type: ignore[import-not-found]  # it is in an environment of its own
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found]


class Network(MLModel):  # type: ignore[misc]  # its types are not here
    """Runs the network on whatever comes, by name."""

    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, options, providers=["CPUExecutionProvider"]
        )
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        inputs = {each.name: NumpyCodec.decode_input(each) for each in payload.inputs}
        arrays = self._session.run(None, inputs)
        names = [node.name for node in self._session.get_outputs()]
        outputs = [NumpyCodec.encode_output(name, array) for name, array in zip(names, arrays)]  # noqa: B905
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=outputs)
