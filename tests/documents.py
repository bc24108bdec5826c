"""The repository's Markdown, as tests read it: its headings' anchors, its links, and its code."""

import re
from pathlib import Path
from typing import NamedTuple

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """Code between fences."""

    heading: str
    """The one right above it."""
    language: str
    code: str


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    found = []
    for fenced in _FENCED.finditer(text):
        above = re.findall(r"^#+ (.+)$", _without_code(text[: fenced.start()]), re.MULTILINE)
        found.append(Block(above[-1] if above else "", fenced[1], fenced[2]))
    return found


def anchors(document: Path) -> set[str]:
    """Of the headings, by GitHub's rule: lower case, spaces become hyphens, other punctuation goes."""
    headings = re.findall(r"^#+ (.+)$", _without_code(document.read_text(encoding="utf-8")), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def links(document: Path) -> list[str]:
    """Where its links and images lead, without those in code."""
    text = re.sub(r"`[^`\n]*`", "", _without_code(document.read_text(encoding="utf-8")))
    return re.findall(r"\]\(([^)\s]+)\)", text)


def _without_code(text: str) -> str:
    return _FENCED.sub("", text)
