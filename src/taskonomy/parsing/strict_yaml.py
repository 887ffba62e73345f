"""Parse only YAML that every parser reads alike: numbers that YAML 1.1 and 1.2 read differently are refused, and so are duplicate keys."""

import re
from typing import Any

import yaml

from taskonomy.parsing.user_text import normal

# 1_000, 010 and 1:30 are the numbers 1000, 8 and 90 in YAML 1.1; in YAML 1.2 the first and last are text, and the second is 10.
_OF_ONE_VERSION = re.compile(r"[+-]?(0\d+|.*[_:].*)", re.ASCII)


def load_yaml(text: str) -> Any:
    """Parse a YAML document as `yaml.safe_load` does, but strictly.

    Raises:
        yaml.YAMLError: It is invalid, contains an ambiguous number, or has a key twice, even in two Unicode forms.
    """
    return yaml.load(text, _Loader)  # noqa: S506, a safe loader


class _Loader(yaml.SafeLoader):
    def number(self, node: yaml.ScalarNode) -> int | float:
        if _OF_ONE_VERSION.fullmatch(node.value):
            raise yaml.MarkedYAMLError(
                None, None, f"{node.value} is no number to every reader of YAML: write it in decimal, with the digits 0-9 alone", node.start_mark
            )
        made: int | float = self.construct_yaml_int(node) if node.tag.endswith(":int") else self.construct_yaml_float(node)
        return made

    def mapping(self, node: yaml.MappingNode) -> Any:
        seen: set[str] = set()
        for key, _value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (name := normal(key.value)) in seen:
                    raise yaml.MarkedYAMLError(None, None, f"the key {name} stands twice", key.start_mark)
                seen.add(name)
        yield from self.construct_yaml_map(node)


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.number)
_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.mapping)
