"""Seeded random numbers and geometry."""
