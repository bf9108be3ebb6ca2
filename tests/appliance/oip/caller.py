"""A plain HTTP client, and requests to the model `shapes`."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

INFER = "/v2/models/shapes/infer"
PICTURE = np.zeros((1, 192, 320, 3), np.uint8)
INPUT = {"name": "picture", "datatype": "UINT8", "shape": list(PICTURE.shape)}


class Caller:
    """One connection."""

    def __init__(self, address: str | None, **options: Any) -> None:
        host, _, port = str(address).rpartition(":")
        kind = http.client.HTTPSConnection if "context" in options else http.client.HTTPConnection
        self.connection = kind(host, int(port), timeout=20, **options)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        self.connection.request(method, path, body, dict(headers or {}))
        response = self.connection.getresponse()
        return response.status, response.read()

    def infer(self, document: Any, raw: bytes = b"", **headers: str) -> tuple[int, Any]:
        head = json.dumps(document).encode()
        more = {"Inference-Header-Content-Length": str(len(head))} if raw else {}
        status, body = self.ask("POST", INFER, head + raw, {**more, **headers})
        try:
            return status, json.loads(body)
        except ValueError:
            return status, body


def binary() -> dict[str, Any]:
    """A request with one black picture, whose bytes follow."""
    return {"inputs": [{**INPUT, "parameters": {"binary_data_size": PICTURE.nbytes}}]}
