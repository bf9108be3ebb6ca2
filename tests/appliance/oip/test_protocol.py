"""The compiled protocol is the one that is written down, and leaves other copies of it alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from appliance.oip.proto import messages
from tests.conftest import REPOSITORY

GENERATOR = REPOSITORY / "scripts" / "generate_protocol"


def test_the_descriptor_is_what_the_proto_file_says() -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed: pip install -e .[dev]")
    done = subprocess.run([sys.executable, GENERATOR, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_method_of_the_service_has_its_messages() -> None:
    methods = messages.methods()
    assert len(methods) == 11
    for name, (request, response) in methods.items():
        assert request.DESCRIPTOR.full_name == f"inference.{name}Request"
        assert response.DESCRIPTOR.full_name == f"inference.{name}Response"


def test_a_message_that_does_not_exist_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no message Nonsense"):
        _ = messages.Nonsense


def test_another_copy_of_the_protocol_may_live_in_the_same_process() -> None:
    """tritonclient registers these names in protobuf's own pool, where a second file would be refused."""
    code = """
from google.protobuf import descriptor_pb2, descriptor_pool
pool = descriptor_pool.Default()
theirs = descriptor_pb2.FileDescriptorProto(name="grpc_service.proto", package="inference", syntax="proto3")
theirs.message_type.add(name="ModelInferRequest")
pool.AddSerializedFile(theirs.SerializeToString())
from appliance.oip.proto import messages
print(messages.ModelInferRequest(model_name="mine").model_name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "mine", done.stderr
