"""Links within the repository lead somewhere."""

from pathlib import Path

import pytest

from tests.documents import anchors, blocks, links

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path for place in (".", "config", "docs", "bench") for path in (ROOT / place).glob("*.md") if path.is_file()
)


def broken(document: Path) -> list[str]:
    found = []
    for link in links(document):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_documents_links_lead_somewhere(document: Path) -> None:
    assert broken(document) == []


def test_what_is_read_of_a_document(tmp_path: Path) -> None:
    document = tmp_path / "some.md"
    document.write_text(
        "# One `thing`, [said](x.md) & done\n[here](#two) [gone](#three) [away](no.md) `[not](a-link)`\n"
        "```sh\n# no heading\n[not](a-link)\n```\n## Two\n```text\nsecond\n```\n"
    )
    assert anchors(document) == {"one-thing-said--done", "two"}
    assert broken(document) == ["x.md", "#three", "no.md"]
    assert [block[:2] for block in blocks(document)] == [("One `thing`, [said](x.md) & done", "sh"), ("Two", "text")]
