"""Taskonomy: measure which vision tasks help which, and plan which labels to buy.

Zamir et al., "Taskonomy: Disentangling Task Transfer Learning", CVPR 2018 (arXiv 1804.08328).
"""

__version__ = "0.1.0"
