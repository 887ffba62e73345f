"""Networks: encoder, transfer, decoders."""
