"""Set values in the text of a YAML file; everything else in it stays as it is, comments and spacing included."""

from collections.abc import Iterator
from typing import Any

import yaml

from taskonomy.errors import TaskonomyError
from taskonomy.parsing.strict_yaml import load_yaml

Edit = tuple[int, int, str]  # from and to where in the text, and what stands there instead


def with_values(text: str, before: Any, after: Any) -> str:
    """Return the text with the values of `after` in the place of those of `before`, which it holds; keys are added, never removed.

    Only a comment inside a value that is replaced as a whole goes with it.

    Raises:
        TaskonomyError: The file uses YAML that cannot be edited in place, such as anchors.
    """
    for start, end, new in sorted(_edits(yaml.compose(text, Loader=yaml.SafeLoader), before, after, text), reverse=True):
        text = text[:start] + new + text[end:]
    try:
        right = load_yaml(text) == after
    except yaml.YAMLError:
        right = False
    if not right:
        raise TaskonomyError("params.yaml: the values cannot be set in place (anchors, or several documents?); set them by hand")
    return text


def _edits(node: Any, before: Any, after: Any, text: str) -> Iterator[Edit]:
    known = {key.value: (key, value) for key, value in node.value}
    for name, new in after.items():
        if name not in before:
            yield _added(node, name, new, text)
        elif new != before[name] or type(new) is not type(before[name]):
            key, value = known[name]
            if _can_be_entered(value, before[name], new):
                yield from _edits(value, before[name], new, text)
            else:
                yield key.end_mark.index, _end(value), f": {_flow(new)}"


def _can_be_entered(node: Any, before: Any, after: Any) -> bool:
    """Return whether a mapping is written key by key and keeps all of its keys."""
    return isinstance(before, dict) and isinstance(after, dict) and bool(before) and not node.flow_style and before.keys() <= after.keys()


def _added(node: Any, name: str, new: Any, text: str) -> Edit:
    """Add a key below the last one of a mapping in block style, before a comment that follows it on the same line."""
    last, indent = _end(node), node.start_mark.column
    line = text.find("\n", last)
    at = len(text) if line < 0 else line
    return at, at, f"\n{' ' * indent}{name}: {_flow(new)}"


def _end(node: Any) -> int:
    """Return where a value ends; a block's own mark lies behind the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _flow(value: Any) -> str:
    return (
        yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=float("inf"), allow_unicode=True).removesuffix("\n...\n").rstrip("\n")
    )
