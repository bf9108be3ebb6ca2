"""The messages of the Open Inference Protocol over gRPC: inference.proto, compiled by scripts/generate_protocol."""
