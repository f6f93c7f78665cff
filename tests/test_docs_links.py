"""Links of README and docs/ lead somewhere."""

import re
from pathlib import Path

import pytest

from docs_blocks import ROOT

PAGES = sorted(
    str(file.relative_to(ROOT))
    for file in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md"))
)
LINK = re.compile(r"\[[^\]]*\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def anchors(file):
    """Headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", file.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page):
    """No page points to one that was renamed, or to a section that is gone."""
    here = ROOT / page
    for target, anchor in LINK.findall(FENCED.sub("", here.read_text())):
        file = (here.parent / target).resolve() if target else here
        assert file.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(file), f"{page}: {target}#{anchor}"


def test_every_page_can_be_found_from_the_readme():
    """A page that nothing links to is read by nobody."""
    linked = {ROOT / "README.md"}
    queue = list(linked)
    while queue:
        page = queue.pop()
        if page.suffix == ".md":
            targets = {
                (page.parent / target).resolve() for target, _ in LINK.findall(page.read_text()) if target
            }
            queue += [each for each in targets - linked if each.is_file()]
            linked |= targets
    lost = [page for page in (ROOT / "docs").glob("*.md") if page not in linked]
    assert [Path(page).name for page in lost] == []
