"""Capabilities of this machine's processor, found without loading any numeric library."""

import re
from functools import cache
from pathlib import Path


@cache
def facts() -> dict[str, str]:
    """Return what Linux reports of the first processor; nothing on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    return dict(reversed(re.findall(r"^([\w ]+?)\s*: (.*)$", text, re.MULTILINE)))


def instructions() -> frozenset[str]:
    """Return the names of the instruction sets, as Linux writes them."""
    return frozenset((facts().get("flags") or facts().get("Features", "")).split())


def has_bfloat16() -> bool:
    """Return whether arithmetic in bfloat16 is fast: on an NVIDIA GPU, or a processor with instructions for it (x86 and Arm)."""
    return Path("/proc/driver/nvidia/version").exists() or bool(instructions() & {"avx512_bf16", "amx_bf16", "bf16"})
