"""Tells a published site which versions lie in it: ``python docs/versions.py SITE``.

The newest state is at the root, each release in a folder of its tag, such as ``v0.2.0``. Every one of them gets a
``versions.json``, from which its pages offer the others.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

__all__ = ["releases", "write_versions"]


def releases(site: Path) -> list[str]:
    """Tags that have a folder with a page in it, newest first."""
    found = [
        page.parent.name for page in site.glob("v*/index.html") if re.fullmatch(r"v\d+\.\d+\.\d+", page.parent.name)
    ]
    return sorted(found, key=lambda tag: [int(part) for part in tag[1:].split(".")], reverse=True)


def write_versions(site: Path) -> None:
    """Write ``versions.json`` for the root and for each release.

    Raises:
        ValueError: ``site`` holds no site.
    """
    if not (site / "index.html").is_file():
        raise ValueError(f"site={str(site)!r} has no index.html; allowed: the folder of a built site")
    tags = releases(site)
    for here in ("", *tags):
        up = "../" if here else ""
        told = [{"name": "development", "path": up or "./", "here": not here}]
        told += [{"name": tag, "path": f"{up}{tag}/", "here": tag == here} for tag in tags]
        (site / here / "versions.json").write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    write_versions(Path(sys.argv[1]))
