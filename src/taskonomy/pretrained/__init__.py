"""Encoders that others trained, as sources: ONNX files, read without any code of theirs."""
