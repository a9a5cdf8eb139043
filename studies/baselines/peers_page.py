"""``peers.md``: one line a peer and page, read from the data of the pages that are there, other banks' too."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gym_stepwise_routing.reporting import Page, Table, write_page
from studies.baselines.claims import CLAIMS, MARGIN
from studies.baselines.peers import COLUMNS

__all__ = ["write_peers"]

LENIENT = [claim.peer for claim in CLAIMS if claim.margin or claim.figure == "point"]
NOTES = (
    "A claim is an ordering between a peer and its rivals; it holds where the 95 % interval of the paired difference "
    "lies above 0, and does not where it does not reach above 0. Curves are judged by AIQ, which does not depend on "
    "how many settings a family has, as APGR does. No ordering is defined where neither of the two is above the zero "
    "router.",
    f"Where a paper says *as good as* ({', '.join(LENIENT)}), {MARGIN:.2f} of the figure may be lost (of accuracy, "
    f"where a point is judged, which must save {MARGIN:.2f} of the cost).",
    "*Signal* is the area under the ROC curve of a router's scores for steps at which the larger model raises the "
    "chance to end right (routers of questions: for problems that only it solves; cascades: for wrong answers); "
    "below 0.5 it points the wrong way. *Cheapest, dearest*: share of right answers at the cost of the two settings, "
    "in units of always-largest.",
)
SUMMARY = ("peer", "holds on", "does not hold on", "not decided, or undefined, on")


def write_peers(folder: Path, command: str, first: Sequence[str] = ()) -> None:
    """Write ``peers.md``.

    Args:
        folder: folder of the pages.
        command: what writes them.
        first: pages that come first.
    """
    pages: dict[str, Mapping[str, Any]] = {}
    for path in sorted(folder.glob("*.json"), key=lambda path: (path.stem not in first, path.stem)):
        data = json.loads(path.read_text(encoding="utf-8"))
        if "peers" in data["results"]:
            pages[path.stem] = {**data["results"], "simulated": data["simulated"]}
    peers = list(dict.fromkeys(each["peer"] for page in pages.values() for each in page["peers"]))
    tables = [Table("Where they hold", SUMMARY, [_summary(peer, pages) for peer in peers])]
    tables += [_peer(peer, pages) for peer in peers]
    write_page(
        Page(title="Do the papers' orderings hold here?", command=command, notes=NOTES, tables=tables), folder, "peers"
    )


def _summary(peer: str, pages: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    where: dict[str, list[str]] = {}
    for name, page in pages.items():
        for each in page["peers"]:
            if each["peer"] == peer:
                where.setdefault(each["verdict"], []).append(name)
    undecided = [*where.get("not decided", []), *where.get("undefined", [])]
    if set(where) == {"not applicable"}:
        undecided = ["not applicable anywhere"]
    cells = (where.get("holds", []), where.get("does not hold", []), undecided)
    return peer, *(", ".join(names) or "-" for names in cells)


def _peer(peer: str, pages: Mapping[str, Mapping[str, Any]]) -> Table:
    found = [(name, page, each) for name, page in pages.items() for each in page["peers"] if each["peer"] == peer]
    lines, absent = [], {}
    for name, page, each in found:
        if each["verdict"] == "not applicable":
            absent.setdefault(each["why"], []).append(name)
            continue
        label = f"[{name}]({name}.md){' SIMULATED' if page['simulated'] else ''}, n = {page['problems']['test']}"
        lines.append((label, *(each[column] for column in COLUMNS)))
    lines += [(", ".join(names), "not applicable", "", why, "", "") for why, names in absent.items()]
    _, _, one = found[0]
    return Table(f"{peer} (arXiv {one['paper']}): {one['reports']}", ("page", *COLUMNS), lines)
