"""Pages that explain have few numbers; results have pages of their own. Links of every page lead somewhere."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from gym_stepwise_routing import StepwiseRoutingEnv

DOCS = Path(__file__).resolve().parents[2] / "docs"
MOST = 3.0
"""Numbers for each 100 words."""
LONGEST, MEAN = 45, 20
"""Words of the longest sentence, and of a page's sentences on average; what stands in parentheses does not count."""
THINGS = "Router|Model|Bank|Policy|Agent|Track|Entry|Threshold|Step|Environment|Server|Prompt|Certificate|Budget|Ledger"
OF_RESULTS = {"benchmarks.md"}
INCLUDED = ("README.md", "leaderboard/SUBMISSION.md", "CONTRIBUTING.md")
BUILT = {"_build", "generated", "gallery"}


def pages(folder=DOCS):
    return [p for p in sorted(folder.rglob("*.md")) if not BUILT & set(p.relative_to(DOCS).parts)]


def prose(text):
    """The text without code, formulas, forms, tables, addresses and headings' marks."""
    for pattern in (
        r"(?s)```.*?```",
        r"(?s)<form.*?</form>",
        r"\$[^$\n]+\$",
        r"`[^`]*`",
        r"\]\([^)]*\)",
        r"https?://\S+",
        r"(?m)^\s*\|.*$",
        r"arXiv \S+",
    ):
        text = re.sub(pattern, " ", text)
    return text


def density(text):
    said = prose(text)
    words = re.findall(r"[A-Za-z][\w'-]*", said)
    return 100 * len(re.findall(r"(?<![\w.-])[-+]?\d[\d,.]*", said)) / max(len(words), 50)


def sentences(text):
    """Numbers of words of the sentences; items of a list end where the next begins."""
    said = prose(re.sub(r"`[^`\n]+`", "Code", text))
    while (without := re.sub(r"\([^()]*\)", "", said)) != said:
        said = without
    parts = re.split(r"\n\s*\n|\n(?=\s*(?:[-*:]|\d+\.)\s)|\n#+ |(?<=[.!?:;])[*_]*\s+(?=[A-Z*\[\"])", said)
    return [count for part in parts if (count := len(re.findall(r"[A-Za-z][\w'-]*", part)))]


def faults(text):
    """Articles left out before the field's nouns, and words written twice."""
    said = prose(text)
    bare = re.findall(
        rf"(?:^|[.!?] )(?:{THINGS}) (?:is|has|was|gets|writes|does|needs|may|can|will)\b", said, re.MULTILINE
    )
    return bare + [match[0] for match in re.finditer(r"\b([a-z]+) \1\b", said)]


def explaining():
    return [p for p in pages() if "results" not in p.relative_to(DOCS).parts and p.name not in OF_RESULTS]


def test_density_counts_numbers_of_prose_alone():
    words = "word " * 95
    assert density(f"{words} 1 2.5 -3 1,000 ```\n7 8 9\n``` `10` [a](b11.md)\n| 12 | 13 |") == pytest.approx(4 / 0.96)


@pytest.mark.parametrize("page", explaining(), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_that_explains_has_few_numbers(page):
    assert density(page.read_text(encoding="utf-8")) <= MOST


def test_sentences_are_told_apart_and_parentheses_left_out():
    assert sentences("One two three. `code` is four words (not more (no)).\n\n- a list\n- of two items\n") == [
        3,
        4,
        2,
        3,
    ]


def test_faults_of_prose_are_found():
    assert faults("Router is a thing.") == ["Router is"]
    assert faults("So it is. Bank has trees, and the the tree.") == [". Bank has", "the the"]
    assert faults("The router is. A model writes. Models write.") == []


@pytest.mark.parametrize("page", explaining(), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_that_explains_has_short_sentences(page):
    text = page.read_text(encoding="utf-8")
    lengths = sentences(text)
    assert max(lengths, default=0) <= LONGEST
    assert sum(lengths) <= MEAN * max(len(lengths), 1)
    assert faults(text) == []


def written_elsewhere():
    """Texts of the site's pages that do not lie in ``docs/`` as Markdown, by name."""
    texts = {name: (DOCS.parent / name).read_text(encoding="utf-8") for name in INCLUDED}
    texts["StepwiseRoutingEnv"] = inspect.cleandoc(StepwiseRoutingEnv.__doc__)
    for tutorial in sorted((DOCS / "tutorials").glob("t*.py")):
        _, head, rest = tutorial.read_text(encoding="utf-8").split('"""', 2)
        cells = re.findall(r"(?m)^#(?: (?!%%)(.*))?$", rest)
        texts[tutorial.stem] = re.sub("``[^`]*``", "`Code`", "\n".join([head, "", *cells]))
    return texts


@pytest.mark.parametrize("name", written_elsewhere())
def test_texts_from_elsewhere_keep_the_rules_too(name):
    text = written_elsewhere()[name]
    lengths = sentences(text)
    assert density(text) <= MOST
    assert max(lengths) <= LONGEST
    assert sum(lengths) <= MEAN * len(lengths)
    assert faults(text) == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[\w.-]+)?\)", page.read_text(encoding="utf-8"))
    missing = [
        link
        for link in links
        if not link.startswith(("http://", "https://", "mailto:"))
        and not BUILT & set(Path(link).parts)
        and not (page.parent / link).exists()
    ]
    assert missing == []


def test_every_tutorial_says_what_it_needs_and_ends_in_a_picture():
    tutorials = sorted((DOCS / "tutorials").glob("t*.py"))
    assert len(tutorials) >= 5
    for tutorial in tutorials:
        text = tutorial.read_text(encoding="utf-8")
        head = text.split('"""')[1]
        first = head.strip().splitlines()[3]
        extras = re.match(r"Needs .*``pip install (?:-e )?'\.\[([a-z,]+)\]'``", first)
        assert extras, f"{tutorial.name}: {first}"
        needed = ", ".join(f'"{extra}"' for extra in extras[1].split(","))
        cell = re.search(r"(?m)^[a-z].*(?:\n.*){2}", text.split('"""')[2])[0]
        assert cell == f"from gym_stepwise_routing.errors import need_extras\n\nneed_extras({needed})", tutorial.name
        assert text.index("# The picture\n") < text.index("plt.show()"), tutorial.name


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_dollars_are_prices_or_formulas(page):
    """Two amounts in one paragraph would be read as a formula between them."""
    said = re.sub(r"(?s)```.*?```|`[^`]*`", " ", page.read_text(encoding="utf-8"))
    assert re.findall(r"(?<!\\)\$\d+\.\d+", said) == [], "write \\$ before an amount"
