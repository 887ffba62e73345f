"""Export the policy: as the stage `policy` writes it, as a table, and as the section of params.yaml that reproduces it."""

import csv
from collections.abc import Sequence
from io import StringIO

import yaml

from taskonomy.atomic_io import to_json
from taskonomy.config.policy_params import PolicyParams
from taskonomy.policy.planner import Policy
from taskonomy.tables.table import OPTIONAL, REQUIRED, join_sources


def as_json(policy: Policy, alternatives: Sequence[Policy]) -> str:
    """Format the policy as results/*/policy.json."""
    return to_json({**policy.reproducible(), "alternatives": [one.reproducible() for one in alternatives]})


def as_csv(policy: Policy) -> str:
    """Format the chosen transfers as an affinity table with no other rows."""
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    imputed = any(one.imputed for one in policy.transfers)
    names = (*REQUIRED, *(name for name in OPTIONAL if name in ("gain", "quality") or (name == "imputed" and imputed)))
    lines.writerow(names)
    for one in policy.transfers:
        numbers = (one.affinity, one.gain, one.quality)
        written = ["" if number != number else repr(number) for number in numbers] + [str(int(one.imputed))] * imputed
        lines.writerow([one.target, join_sources(one.sources), *written])
    return text.getvalue()


def as_section(params: PolicyParams) -> str:
    """Format the section `policy` of params.yaml with every key."""
    return yaml.safe_dump({"policy": params.model_dump(mode="json")}, sort_keys=False, allow_unicode=True)
