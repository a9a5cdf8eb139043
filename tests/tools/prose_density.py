"""Numbers for each 100 words on the pages that explain, now and in an older commit.

``python tests/tools/prose_density.py [COMMIT]`` prints a Markdown table, a page a row. Numbers in code, tables and
addresses do not count.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "docs"))

from test_prose import density, explaining  # noqa: E402


def earlier(commit: str, page: str) -> str | None:
    """The page's text in that commit, None where it did not exist."""
    done = subprocess.run(["git", "show", f"{commit}:{page}"], capture_output=True, text=True, cwd=REPOSITORY)
    return done.stdout if done.returncode == 0 else None


def table(commit: str | None) -> str:
    """Rows of page, density before (if a commit is given) and density now."""
    rows = [f"| page |{' before |' if commit else ''} now |", f"|---|{'---|' if commit else ''}---|"]
    for path in [REPOSITORY / "README.md", *explaining()]:
        page = path.relative_to(REPOSITORY).as_posix()
        cells = [f"{density(path.read_text(encoding='utf-8')):.1f}"]
        if commit:
            before = earlier(commit, page)
            cells.insert(0, "" if before is None else f"{density(before):.1f}")
        rows.append(f"| {page} | {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        raise SystemExit(__doc__)
    if len(sys.argv) == 2 and earlier(sys.argv[1], "README.md") is None:
        raise SystemExit(f"commit {sys.argv[1]!r}: not in this repository, or it has no README.md")
    print(table(sys.argv[1] if len(sys.argv) == 2 else None))
