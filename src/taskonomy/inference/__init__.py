"""Use a chosen policy: export its networks, run them on images, convert them to ONNX graphs, and compute what they cost to run."""
