"""Pages of the site that are written from the code: the environment, the API, the command line, what is registered."""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
import subprocess
from functools import cache
from importlib import import_module
from inspect import get_annotations
from pathlib import Path
from shutil import which
from typing import Any

from schemas import schema_texts
from sphinx.ext.autodoc.mock import mock
from typer.main import get_command

import gym_stepwise_routing
from gym_stepwise_routing import StepwiseRoutingEnv
from gym_stepwise_routing.agents.runs import RunManifest
from gym_stepwise_routing.banks.manifest import Manifest, Recipe
from gym_stepwise_routing.calibration.certificate import Certificate
from gym_stepwise_routing.cli.app import app as commands
from gym_stepwise_routing.cli.list_command import KINDS
from gym_stepwise_routing.leaderboard.entry import Entry, Figures, Played, Run
from gym_stepwise_routing.leaderboard.track import Track, TrackSpec

PACKAGE = gym_stepwise_routing.__name__
ROOT = Path(__file__).resolve().parents[1]
LONGEST = 13
"""Names on a page of the API, about: so that it stays quick to load."""
PAGES = {
    "leaderboard/SUBMISSION.md": "submitting.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files of the repository that have a page."""
MOCKED = ["minari", "openenv", "ray", "verifiers", "vllm"]
"""Packages that bring much, or that no extra brings: needed to use what builds on them, not to describe it."""
BAR = "\\|"
FORMATS: tuple[tuple[str, str, tuple[type, ...]], ...] = (
    (
        "Bank",
        "`bank.json`, beside three Parquet files. What a person states, then what the importer adds.",
        (Recipe, Manifest),
    ),
    ("Run", "`manifest.json`, beside `router.npz` (arrays) and `model.zip` (Stable-Baselines3's).", (RunManifest,)),
    ("Certificate", "`certificate.json`, beside the router that it is about.", (Certificate,)),
    ("Track", "`leaderboard/tracks/NAME.json`.", (TrackSpec, Track)),
    ("Entry", "`leaderboard/entries/TRACK/NAME.json`.", (Entry, Played, Run, Figures)),
)
"""Files by title, with a sentence and the classes that read them."""
ROOMS = (
    ("envs", "The environment, its wrappers, its adapter to Stable-Baselines3"),
    ("game", "What an episode is"),
    ("routers", "The contract of what is compared"),
    ("evaluation", "Play, sweep, metrics, intervals"),
    ("calibration", "Thresholds and certificates"),
    ("baselines", "Constants, rules, fitted routers"),
    ("agents", "What is trained"),
    ("comparison", "Families of routers side by side"),
    ("banks", "Recorded trees"),
    ("sources", "Bank, live models, simulator"),
    ("planning", "Optima of the simulator"),
    ("costs", "Ledger, charging, cost units"),
    ("recorder", "Recording with real models"),
    ("generators", "Language models behind one interface"),
    ("datasets", "Problems"),
    ("grading", "Graders"),
    ("serving", "The server"),
    ("leaderboard", "Tracks, entries, verification, site"),
    ("reporting", "Pages and tables of results"),
    ("registry", "Objects by name"),
    ("storage", "Files that are whole or absent"),
)


def repository_links(text: str, repository: str, depth: int) -> str:
    """The Markdown with links that leave ``docs/`` turned to the repository, or to the page that shows the file."""
    up = "../" * depth

    def turned(match: re.Match[str]) -> str:
        path, anchor = match["path"], match["anchor"] or ""
        return f"]({up}{PAGES[path]}{anchor})" if path in PAGES else f"]({repository}/{path}{anchor})"

    return re.sub(rf"\]\({re.escape(up)}\.\./(?!\.\.)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)", turned, text)


def included(file: str, repository: str) -> str:
    """A file of the repository as a page of the site: its links lead to pages, or to the repository."""
    home = (ROOT / file).parent

    def turned(match: re.Match[str]) -> str:
        path, anchor = match["path"], match["anchor"] or ""
        target = Path(os.path.relpath(home / path, ROOT)).as_posix()
        if target in PAGES:
            return f"]({PAGES[target]}{anchor})"
        inside = target.removeprefix("docs/")
        return f"]({inside}{anchor})" if inside != target else f"]({repository}/{target}{anchor})"

    text = (ROOT / file).read_text(encoding="utf-8")
    return re.sub(r"\]\((?!https?://|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)", turned, text)


def write(path: Path, text: str) -> None:
    """Write a page if it has changed, so that an unchanged one is not built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def environment_page() -> str:
    """The body of the environment's page, from its class docstring."""
    text = inspect.cleandoc(StepwiseRoutingEnv.__doc__ or "")
    _, _, body = text.partition("\n")
    body = re.sub(r":class:`\.\.\.([\w.]+)`", rf"`{PACKAGE}.\1`", body)
    return body.strip() + "\n"


def public(module: object) -> list[str]:
    """Names that a module exports and defines itself, not those that it only hands on."""
    names = getattr(module, "__all__", ())
    home = getattr(module, "__name__", "")
    return [name for name in names if getattr(getattr(module, name), "__module__", home) == home]


def room_pages(room: str, title: str) -> dict[str, str]:
    """Pages of the API by name: modules of a room with the names that they define, at most ``LONGEST`` names a page."""
    package = import_module(f"{PACKAGE}.{room}")
    names = [package.__name__, *(info.name for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))]
    found = {name: members for name in names if (members := public(import_module(name)))}
    pages = max(1, round(sum(map(len, found.values())) / LONGEST))
    share = sum(map(len, found.values())) / pages
    texts: dict[str, list[str]] = {}
    before = 0
    for name, members in found.items():
        number = min(int(before / share), pages - 1)
        before += len(members)
        page = room if pages == 1 else f"{room}-{number + 1}"
        if page not in texts:
            heading = package.__name__ + ("" if pages == 1 else f", part {number + 1}")
            texts[page] = [heading, "=" * len(heading), "", f"{title}.", ""]
        heading = name.removeprefix(f"{PACKAGE}.")
        texts[page] += [heading, "-" * len(heading), "", f".. automodule:: {name}"]
        texts[page] += [f"   :members: {', '.join(members)}", "   :show-inheritance:", ""]
    return {page: "\n".join(lines) for page, lines in texts.items()}


@cache
def last_changes(folder: str) -> dict[str, str]:
    """Date and commit of the last change of each file below a folder of the repository, {} where there is no Git."""
    if which("git") is None:
        return {}
    command = ["git", "log", "--format=%x00%as, commit %h", "--name-only", "--", folder]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    found: dict[str, str] = {}
    for block in done.stdout.split("\0")[1:]:
        told, *files = block.split("\n")
        for file in filter(None, files):
            found.setdefault(file, told)
    return found


def source_address(module: str, name: str, repository: str) -> str | None:
    """Address of the lines that define an object, None for what has none (a constant, a generated method)."""
    found: Any = import_module(module)
    try:
        for part in name.split("."):
            found = getattr(found, part)
        lines, first = inspect.getsourcelines(inspect.unwrap(found))
        file = Path(str(inspect.getsourcefile(inspect.unwrap(found)))).resolve().relative_to(ROOT)
    except (AttributeError, OSError, TypeError, ValueError):
        return None
    return f"{repository}/{file.as_posix()}#L{first}-L{first + len(lines) - 1}"


def root_page() -> str:
    """The names that the package itself exports, where each is from, and its first line."""
    rows = ["| name | from | what it is |", "|---|---|---|"]
    for name, home in sorted(gym_stepwise_routing.EXPORTS.items()):
        told = (inspect.getdoc(getattr(gym_stepwise_routing, name)) or "").partition("\n")[0]
        rows.append(f"| {{py:obj}}`{name} <{home}.{name}>` | `{home}` | {told} |")
    return "\n".join(rows) + "\n"


def command_part(command: Any, words: str, level: int) -> list[str]:
    """A command as Markdown: usage, help, arguments and options; a group with all of its commands."""
    parts = [f"{'#' * level} {words}", ""]
    if hasattr(command, "commands"):
        parts += [_escaped(command.help or ""), ""] if level > 2 else []
        for name, sub in sorted(command.commands.items()):
            parts += command_part(sub, f"{words} {name}", max(level, 2) + (level > 2))
        return parts
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [parameter for parameter in shown if parameter.param_type_name == "argument"]
    usage = " ".join([words, "[OPTIONS]", *(_argument(parameter) for parameter in arguments)])
    parts += [_escaped(inspect.cleandoc(command.help or "")), "", "```text", usage, "```", ""]
    rows = ["| | default | meaning |", "|---|---|---|"]
    for parameter in shown:
        names = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
        rows.append(f"| {names} | {_default(parameter)} | {_escaped(parameter.help or '')} |")
    return [*parts, *rows, ""]


def _argument(parameter: Any) -> str:
    """An argument as it stands in the usage."""
    name = str(parameter.metavar or parameter.name).upper() + ("..." if parameter.nargs != 1 else "")
    return name if parameter.required else f"[{name}]"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    return "" if value in (None, "", (), []) or callable(value) else f"`{value}`"


def _escaped(text: str) -> str:
    """Text of the command line as Markdown: one paragraph a paragraph, no tags, no cells."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[").replace("\b", "")


def registered_page() -> str:
    """What can be asked for by name, kind by kind."""
    parts: list[str] = []
    for kind, (registry, describe) in KINDS.items():
        rows = [{"name": f"`{name}`", **describe(item)} for name, item in registry.items()]
        heads = list(rows[0])
        parts += [f"## {kind}", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
        parts += [f"| {' | '.join(_cell(value) for value in row.values())} |" for row in rows]
        parts.append("")
    return "\n".join(parts)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    text = value if isinstance(value, str) else ", ".join(map(str, value))  # type: ignore[call-overload]
    return text if text.startswith("`") else _escaped(text)


def formats_page() -> str:
    """The keys of each file, from the class that reads it."""
    parts: list[str] = []
    for title, told, classes in FORMATS:
        parts += [f"## {title}", "", told, ""]
        for kind in classes:
            types = get_annotations(kind)
            parts += [
                f"{{py:obj}}`~{kind.__module__}.{kind.__qualname__}`:",
                "",
                "| key | type | meaning |",
                "|---|---|---|",
            ]
            for name, meaning in documented_fields(kind).items():
                parts.append(f"| `{name}` | `{_type(types.get(name, ''))}` | {meaning.replace('|', BAR)} |")
            parts.append("")
    return "\n".join(parts)


def documented_fields(kind: type) -> dict[str, str]:
    """Fields of a class and what its docstring says of them, under *Attributes* or *Args*."""
    text = inspect.getdoc(kind) or ""
    section = re.search(r"^(?:Attributes|Args):\n((?:(?: {4}.*)?\n?)+)", text, flags=re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+): ((?:.*\n?)(?: {8}.*\n?)*)", section[1] if section else "", flags=re.MULTILINE)
    return {name: re.sub(r":\w+:`~?([^`]*)`", r"`\1`", " ".join(meaning.split())) for name, meaning in entries}


def _type(annotation: object) -> str:
    return str(annotation if isinstance(annotation, str) else getattr(annotation, "__name__", annotation)).replace(
        "|", BAR
    )


def write_all(docs: Path, repository: str) -> None:
    """Write every generated page below ``docs/generated``."""
    folder = docs / "generated"
    write(folder / "environment.md", environment_page())
    for file, page in PAGES.items():
        write(folder / "included" / page, included(file, repository))
    write(folder / "root.md", root_page())
    write(folder / "formats.md", formats_page())
    for name, schema in schema_texts().items():
        write(folder / "schemas" / f"{name}.json", schema)
    write(folder / "registered.md", registered_page())
    write(folder / "commands.md", "\n".join(command_part(get_command(commands), "stepwise-routing", 1)[2:]))
    with mock(MOCKED):
        pages = {name: text for room, title in ROOMS for name, text in room_pages(room, title).items()}
    for old in set((folder / "api").glob("*.rst")) - {folder / "api" / f"{name}.rst" for name in pages}:
        old.unlink()
    for name, text in pages.items():
        write(folder / "api" / f"{name}.rst", text)
