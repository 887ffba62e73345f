"""Synthetic buildings, ray-traced to images with exact geometry: the data that needs no download."""
