"""The journal of a conversion: which tensors are on disk, so that one that was killed goes on where it stood."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Journal:
    """A line for what is converted how, then one for each tensor that is written. Begins anew where that differs."""

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self.path = path
        self.done: dict[str, dict[str, Any]] = {}
        lines = _lines(path)
        self.is_resumed = bool(lines) and lines[0] == dict(head)
        if self.is_resumed:
            self.done = {line.pop("name"): line for line in lines[1:]}
        # Written anew in either case: the last line may have been cut by the kill.
        text = [json.dumps(dict(head)), *(json.dumps({"name": name, **entry}) for name, entry in self.done.items())]
        path.write_text("\n".join(text) + "\n")

    def add(self, name: str, entry: Mapping[str, Any]) -> None:
        """A tensor is on disk."""
        self.done[name] = dict(entry)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"name": name, **entry}) + "\n")


def _lines(path: Path) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
