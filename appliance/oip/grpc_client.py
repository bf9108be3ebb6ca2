"""The client of the protocol over gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc  # type: ignore[import-untyped]  # it ships no types

from appliance.oip import grpc_tensors
from appliance.oip.client import LIMITS
from appliance.oip.proto import messages
from appliance.questions.question import Refused
from appliance.questions.tensors import BadTensor, Tensor
from engines.engine import EngineError

RECONNECT_MOST_MS = 5_000


class GrpcClient:
    """One channel. See `Client` for the contract."""

    def __init__(self, url: str, host: str, port: int, *, secure: bool, within_s: float) -> None:
        self._url = url.rstrip("/")
        self._within_s = within_s
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        options = [
            ("grpc.max_receive_message_length", LIMITS.body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_reconnect_backoff_ms", RECONNECT_MOST_MS),
        ]
        self._channel = (
            grpc.secure_channel(where, grpc.ssl_channel_credentials(), options)
            if secure
            else grpc.insecure_channel(where, options)
        )
        self._methods = {
            name: self._channel.unary_unary(
                f"/{messages.SERVICE}/{name}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            for name, (request, response) in messages.methods().items()
        }
        self._call: Any = None

    def model(self, name: str) -> dict[str, Any]:
        if not self._ask("ModelReady", messages.ModelReadyRequest(name=name)).ready:
            raise EngineError(f"{self._url}: model {name} is not ready")
        answer = self._ask("ModelMetadata", messages.ModelMetadataRequest(name=name))
        return {
            "name": answer.name,
            "versions": list(answer.versions),
            "platform": answer.platform,
            "inputs": [_described(tensor) for tensor in answer.inputs],
            "outputs": [_described(tensor) for tensor in answer.outputs],
        }

    def infer(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[str]) -> tuple[Tensor, ...]:
        request = messages.ModelInferRequest(model_name=name)
        grpc_tensors.write(tuple(inputs), request.inputs, request.raw_input_contents)
        for output in outputs:
            request.outputs.add(name=output)
        answer = self._ask("ModelInfer", request)
        try:
            return grpc_tensors.read(answer.outputs, answer.raw_output_contents, LIMITS)
        except (BadTensor, Refused) as error:
            raise EngineError(f"{self._url}: an answer that breaks the protocol: {error}") from error

    def cancel(self) -> None:
        call = self._call
        if call is not None:
            call.cancel()

    def close(self) -> None:
        self._channel.close()

    def _ask(self, method: str, request: Any) -> Any:
        self._call = self._methods[method].future(request, timeout=self._within_s)
        try:
            return self._call.result()
        except grpc.FutureCancelledError as error:
            raise EngineError(f"{self._url}: called off") from error
        except grpc.RpcError as error:
            raise EngineError(f"{self._url}: {_words(error.code(), self._within_s)}{error.details()}") from error
        finally:
            self._call = None


def _words(code: grpc.StatusCode, within_s: float) -> str:
    known: Mapping[Any, str] = {
        grpc.StatusCode.UNAVAILABLE: "cannot be asked: ",
        grpc.StatusCode.DEADLINE_EXCEEDED: f"no answer within {within_s:g} s: ",
    }
    return known.get(code, f"{code.name}: ")


def _described(tensor: Any) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
