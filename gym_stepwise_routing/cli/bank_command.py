"""``stepwise-routing bank``: look at banks of recorded traces, check them, import and export them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gym_stepwise_routing.banks import BANKS, Bank, Recipe
from gym_stepwise_routing.banks.combine import merge_banks, sample_bank
from gym_stepwise_routing.banks.jsonl import export_jsonl, import_jsonl
from gym_stepwise_routing.banks.manifest import MANIFEST
from gym_stepwise_routing.banks.questions import Questions, join_questions
from gym_stepwise_routing.cli.bank_show import tree_of
from gym_stepwise_routing.cli.endings_report import print_endings
from gym_stepwise_routing.cli.hub_command import bank_pull, bank_push
from gym_stepwise_routing.cli.plain_errors import plain_errors
from gym_stepwise_routing.costs.units import DEFAULT_UNIT, available_units
from gym_stepwise_routing.reporting.bank_card import bank_card
from gym_stepwise_routing.storage.atomic import write_text
from gym_stepwise_routing.types import SPLITS

__all__ = ["app"]

app = typer.Typer(help="Banks of recorded traces: show, check, import, export, share.", no_args_is_help=True)
app.command("push")(bank_push)
app.command("pull")(bank_pull)

BankArgument = Annotated[
    str, typer.Argument(help="Name of a bundled bank, folder of a bank, or hf://owner/name.", metavar="BANK")
]
QuestionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--questions",
        metavar="DATASET/SPLIT=FILE",
        help="Official JSON Lines file with the question texts of a split; may be given several times.",
    ),
]


def _files(questions: list[str] | None) -> dict[str, Path]:
    files = {}
    for item in questions or []:
        key, equals, file = item.partition("=")
        if not equals or not file:
            raise ValueError(f"--questions {item!r}; allowed: DATASET/SPLIT=FILE")
        files[key] = Path(file)
    return files


@app.command()
def info(
    bank: Annotated[
        str | None, typer.Argument(help="As for the other commands; without it, the bundled banks.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a bank holds, or which banks come with the package."""
    console = Console()
    with plain_errors():
        if bank is None and as_json:
            bundled_banks = {name: bundled.manifest.description for name, bundled in BANKS.items()}
            print(json.dumps(bundled_banks, indent=1, ensure_ascii=False))
            return
        if bank is None:
            for name, bundled in BANKS.items():
                console.print(f"[bold]{name}[/]  {escape(bundled.manifest.description)}")
            return
        opened = Bank.open(bank)
    manifest = opened.manifest
    if as_json:
        print(json.dumps(_told(opened), indent=1, ensure_ascii=False))
        return
    origin = "SIMULATED" if manifest.simulated else "recorded"
    console.print(f"[bold]{escape(opened.name)}[/] ({origin}): {escape(manifest.description)}")
    for table in (_facts(opened), _models(opened), _splits(opened)):
        console.print(table)
    print_endings(console, manifest.endings)


def _told(bank: Bank) -> dict[str, Any]:
    """What ``info`` shows, as data."""
    return {
        "name": bank.name,
        "description": bank.manifest.description,
        "simulated": bank.manifest.simulated,
        "hash": bank.hash,
        "nodes": len(bank.nodes),
        "horizon": bank.manifest.horizon,
        "modes": list(bank.manifest.modes),
        "cost_units": list(available_units(bank.pool)),
        "models": [asdict(model) for model in bank.pool.rows],
        "splits": _split_facts(bank),
    }


def _split_facts(bank: Bank) -> dict[str, dict[str, Any]]:
    return {split: {"problems": len(bank.split_problems(split)), "hash": bank.split_hash(split)} for split in SPLITS}


def _facts(bank: Bank) -> Table:
    manifest = bank.manifest
    table = Table(show_header=False)
    for label, fact in (
        ("folder", str(bank.path)),
        ("size", f"{sum(entry.bytes for entry in manifest.files.values()) / 1e6:.2f} MB"),
        ("content hash", bank.hash),
        ("nodes", f"{len(bank.nodes):,}"),
        ("horizon", f"{manifest.horizon} steps"),
        ("step", manifest.step_rule.note),
        ("modes", ", ".join(manifest.modes)),
        ("cost units", ", ".join(available_units(bank.pool))),
        *_served(bank),
        ("engine", manifest.decoding.engine),
        ("grader", manifest.grader.name),
        *((f"problems: {name}", f"{entry.source}; {entry.licence}") for name, entry in manifest.datasets.items()),
        ("licence of the traces", manifest.licence),
        ("built with", manifest.created_with),
        ("built by", manifest.command),
    ):
        table.add_row(escape(label), escape(fact))
    return table


def _served(bank: Bank) -> list[tuple[str, str]]:
    """Where the traces come from, if from a log."""
    served = bank.manifest.served
    if served is None:
        return []
    propensity = "each step with its own" if served.propensity is None else f"each with {served.propensity:g}"
    return [
        ("made from", f"the log of a server: {served.requests} requests from {served.first} to {served.last}"),
        ("routed by", f"{', '.join(served.router)}; propensity: {propensity}"),
    ]


def _models(bank: Bank) -> Table:
    table = Table("model", "parameters", "$ / M tokens: input", "cached", "output", "s / token: prefill", "decode")
    table.columns[0].no_wrap = True  # names stay whole
    for model in bank.pool.rows:
        price, latency = model.price, model.latency
        table.add_row(
            escape(model.name if model is not bank.pool.verifier else f"{model.name} (verifier)"),
            "unknown" if model.parameters is None else f"{model.parameters:.3g}",
            *(
                ["unknown"] * 3
                if price is None
                else [f"{p:.3g}" for p in (price.input, price.cached_input, price.output)]
            ),
            *(["unknown"] * 2 if latency is None else [f"{latency.prefill:.3g}", f"{latency.decode:.3g}"]),
        )
    return table


def _splits(bank: Bank) -> Table:
    table = Table("split", "problems", "hash")
    for split, facts in _split_facts(bank).items():
        table.add_row(split, str(facts["problems"]), facts["hash"][:16])
    return table


@app.command()
def verify(
    bank: BankArgument,
    questions: QuestionsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check every file's hash, the structure of the trees, the splits and, if given, the question texts."""
    console = Console()
    with plain_errors():
        opened = Bank.open(bank)
        opened.read("texts.parquet")  # opening compares its hash and leaves its columns alone
        table = Table("file", "rows", "bytes", "sha256", title=f"{escape(opened.name)}: all checks passed")
        table.columns[0].no_wrap = True  # names stay whole
        table.add_row(MANIFEST, "", str((opened.path / MANIFEST).stat().st_size), f"content {opened.hash}")
        for name, entry in opened.manifest.files.items():
            table.add_row(name, str(entry.rows), str(entry.bytes), entry.sha256)
        matched = len(join_questions(opened, _files(questions))) if questions else None
        if questions:
            table.caption = f"{matched} question texts match"
    if as_json:
        files = {name: asdict(entry) for name, entry in opened.manifest.files.items()}
        facts = {"name": opened.name, "hash": opened.hash, "files": files, "splits": _split_facts(opened)}
        print(json.dumps(facts | {"question_texts": matched}, indent=1))
        return
    console.print(table)
    console.print(_splits(opened))


@app.command("import")
def import_(
    trees: Annotated[Path, typer.Argument(help="Recorded trees, .jsonl or .jsonl.gz.")],
    recipe: Annotated[Path, typer.Option(help="JSON file with what is stated of the recording.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    questions: QuestionsOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Build a bank from recorded trees. With --questions, counts over the texts are stored, never the texts."""
    with plain_errors():
        stated = Recipe.load(recipe)
        files = _files(questions)
        counts = Questions(stated.datasets, files).counts if files else None
        bank = import_jsonl(trees, stated, out, counts=counts, overwrite=overwrite)
        if as_json:
            print(json.dumps(_told(bank), indent=1, ensure_ascii=False))
            return
    _print_made(bank, out)


def _print_made(bank: Bank, out: Path) -> None:
    Console().print(
        f"{escape(str(out))}: {len(bank.problems)} problems, {len(bank.nodes):,} nodes, content hash {bank.hash}"
    )
    Console().print(_splits(bank))


@app.command()
def export(
    bank: BankArgument,
    out: Annotated[
        Path | None, typer.Option(help="File to write, .jsonl or .jsonl.gz; with --minari the folder of data sets.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    minari: Annotated[bool, typer.Option("--minari", help="Write Minari data sets of the train split.")] = False,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="With --minari: random, smallest, largest, oracle, or the folder of a run; several times."),
    ] = None,
    mode: Annotated[list[str] | None, typer.Option(help="With --minari: a mode; several times. Default: all.")] = None,
    cost_unit: Annotated[str, typer.Option(help="With --minari: unit of the costs.")] = DEFAULT_UNIT,
    passes: Annotated[int, typer.Option(min=1, help="With --minari: how often random plays each problem.")] = 1,
    hindsight: Annotated[bool, typer.Option("--hindsight", help="With --minari: show the budget it needed.")] = False,
) -> None:
    """Write a bank as JSON Lines, the very objects that were imported; or play it, as Minari data sets."""
    with plain_errors():
        if minari:
            from gym_stepwise_routing.cli.minari_export import write_datasets

            write_datasets(bank, out, policy, mode, cost_unit=cost_unit, passes=passes, hindsight=hindsight)
            return
        if out is None:
            raise ValueError("--out is missing; allowed: a file, .jsonl or .jsonl.gz")
        opened = Bank.open(bank)
        export_jsonl(opened, out, overwrite=overwrite)
    Console().print(f"{escape(str(out))}: {len(opened.problems)} trees")


@app.command()
def show(
    bank: BankArgument,
    problem: Annotated[str, typer.Argument(help="Id of the problem, such as gsm8k/test/17.", metavar="ID")],
    depth: Annotated[int | None, typer.Option(min=1, help="Only so many steps.")] = None,
    questions: QuestionsOption = None,
) -> None:
    """Show the tree of a problem, each step in the colour of its model, with its tokens, and the grades of its ends."""
    with plain_errors():
        opened = Bank.open(bank)
        texts = dict(
            zip(opened.problem_ids, join_questions(opened, _files(questions)) if questions else (), strict=False)
        )
        shown = tree_of(opened, problem, question=texts.get(problem), depth=depth)
    Console(highlight=False).print(shown)


@app.command()
def card(
    bank: BankArgument,
    out: Annotated[Path | None, typer.Option(help="File to write; without it the page is printed.")] = None,
) -> None:
    """One page in Markdown: models, endings, each model alone, the headroom to the oracle, examples of trees."""
    with plain_errors():
        page = bank_card(Bank.open(bank))
        if out is not None:
            write_text(out, page)
    if out is None:
        print(page, end="")


@app.command()
def merge(
    banks: Annotated[list[str], typer.Argument(help="Two or more banks, recorded alike.", metavar="BANK...")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    name: Annotated[str | None, typer.Option(help="Name of the bank; by default that of the folder.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing folder.")] = False,
) -> None:
    """Make one bank of several whose models, prompt, decoding, step rule and grader are the same."""
    with plain_errors():
        opened = [Bank.open(bank) for bank in banks]
        made = merge_banks(opened, out, name=name or out.resolve().name, overwrite=overwrite)
    _print_made(made, out)


@app.command()
def sample(
    bank: BankArgument,
    problems: Annotated[int, typer.Argument(help="How many problems, over all splits in their proportion.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name of the bank; by default that of the folder.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing folder.")] = False,
) -> None:
    """Make a bank of some problems of a bank; each stays in its split."""
    with plain_errors():
        opened = Bank.open(bank)
        made = sample_bank(opened, problems, out, name=name or out.resolve().name, seed=seed, overwrite=overwrite)
    _print_made(made, out)


@app.command("from-log")
def from_log(
    log: Annotated[Path, typer.Argument(help="Decision log of a server; its rotated files are read with it.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    mode: Annotated[str | None, typer.Option(help="Only requests of this mode, where the log has several.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing folder.")] = False,
) -> None:
    """Build a bank of the answers in a server's log that feedback speaks of: only the steps that were taken."""
    from gym_stepwise_routing.serving.log_bank import bank_from_log

    with plain_errors(ValueError):
        made = bank_from_log(log, out, mode=mode, overwrite=overwrite)
    console = Console(soft_wrap=True, highlight=False)
    bank = made.bank
    console.print(
        f"{escape(str(out))}: {made.taken} of {made.requests} requests, {len(bank.problems)} problems, "
        f"{len(bank.nodes):,} nodes, content hash {bank.hash}"
    )
    for reason, count in made.left_out.items():
        console.print(f"left out: {count} ({escape(reason)})")
    for line in made.torn:
        console.print(f"[yellow]warning:[/yellow] half a line, a process was killed: {escape(line)}")
