"""Export the policy: as the stage `policy` writes it, as a table, and as the section of params.yaml that reproduces it."""

import csv
from collections.abc import Sequence
from io import StringIO

import yaml

from taskonomy.atomic_io import to_json
from taskonomy.config.policy_params import PolicyParams
from taskonomy.policy.planner import Policy
from taskonomy.policy.problem import Transfer
from taskonomy.tables.table import ABOUT, IMAGES, OPTIONAL, REQUIRED, join_sources, labelled


def as_json(policy: Policy, alternatives: Sequence[Policy]) -> str:
    """Format the policy as results/*/policy.json."""
    return to_json({**policy.reproducible(), "alternatives": [one.reproducible() for one in alternatives]})


def as_csv(policy: Policy) -> str:
    """Format the chosen transfers as an affinity table, with what is known of their sources.

    It has no other rows, but for sources that are known and never chosen alone: a table says what it knows of a source in a row of that source alone,
    so that each of these has such a row, without an affinity.
    """
    imputed, several = any(one.imputed for one in policy.transfers), bool(policy.amounts)
    rows = [(one.target, one.sources, _numbers(one) + [str(int(one.imputed))] * imputed + [_images(one)] * several) for one in policy.transfers]
    known, alone = {**policy.licences, **policy.inference}, {one.sources[0] for one in policy.transfers if len(one.sources) == 1}
    into = {labelled(name): one.target for one in policy.transfers for name in one.sources}
    rows += [(into[name], (name,), [""] * (3 + imputed + several)) for name in known if name in into and name not in alone]
    names = (*REQUIRED, *(name for name in OPTIONAL if name in ("gain", "quality") or (name == "imputed" and imputed)), *([IMAGES] * several))
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow((*names, *(ABOUT if known else ())))
    for target, sources, numbers in rows:
        lines.writerow([target, join_sources(sources), *numbers, *(_about(policy, sources) if known else ())])
    return text.getvalue()


def _numbers(one: Transfer) -> list[str]:
    return ["" if number != number else repr(number) for number in (one.affinity, one.gain, one.quality)]


def _images(one: Transfer) -> str:
    return "" if one.images is None else str(one.images)


def _about(policy: Policy, sources: tuple[str, ...]) -> list[str]:
    """Write `ABOUT` of a transfer's sources."""
    external = dict.fromkeys(name for name in map(labelled, sources) if name in policy.licences)
    alone = sources[0] if len(sources) == 1 else ""
    return [join_sources(external), policy.licences.get(alone, ""), repr(policy.inference[alone]) if alone in policy.inference else ""]


def as_section(params: PolicyParams) -> str:
    """Format the section `policy` of params.yaml with every key."""
    return yaml.safe_dump({"policy": params.model_dump(mode="json")}, sort_keys=False, allow_unicode=True)
