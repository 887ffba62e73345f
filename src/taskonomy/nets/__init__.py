"""Encoder, transfer and decoders."""
