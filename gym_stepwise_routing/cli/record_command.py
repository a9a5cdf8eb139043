"""``stepwise-routing record``: record routing trees of your own models and make a bank of them."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.cli.endings_report import print_endings
from gym_stepwise_routing.cli.plain_errors import plain_errors
from gym_stepwise_routing.generators.chat import ChatForm
from gym_stepwise_routing.generators.prompts import default_prompt, load_prompt
from gym_stepwise_routing.generators.sampling import GREEDY, Sampling
from gym_stepwise_routing.generators.specs import GeneratorSpec
from gym_stepwise_routing.grading import GRADERS
from gym_stepwise_routing.grading.judge import JUDGEMENTS
from gym_stepwise_routing.recorder.endings import EARLY, count_endings, grade_warnings
from gym_stepwise_routing.recorder.grow import RecordingStats
from gym_stepwise_routing.recorder.problem_selection import Selection
from gym_stepwise_routing.recorder.selection_checks import notes, without_duplicates
from gym_stepwise_routing.recorder.session import RecordingSession
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.step_rules import STEPS, step_rule
from gym_stepwise_routing.reporting.bank_card import CARD, bank_card
from gym_stepwise_routing.storage.atomic import write_text
from gym_stepwise_routing.storage.strict_json import plain
from gym_stepwise_routing.types import MODES, Mode

if TYPE_CHECKING:
    from gym_stepwise_routing.serving.pool_config import PoolConfig

__all__ = ["record"]


_IN_POOL_FILE = (
    "models",
    "prompt",
    "grading",
    "step",
    "horizon",
    "max_tokens",
    "min_characters",
    "merge_headings",
    "blank_line_ends",
    "repeat_limit",
)
"""Options that the pool file decides."""


def record(
    context: typer.Context,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME/SPLIT[:ROWS]", help="Problems, or FILE.jsonl[@SPLIT]; ROWS: 0-100,205,300-900/50; repeatable."
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the recording; the same recording in it is continued.")],
    models: Annotated[
        list[str] | None,
        typer.Option(metavar="BACKEND:MODEL[,key=value...]", help="A model; give two or more, smallest first."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Pool file instead of --models; also prompt, grading and step rule are its own.")
    ] = None,
    mode: Annotated[str, typer.Option(help=f"One of {', '.join(MODES)}.")] = "route",
    horizon: Annotated[int, typer.Option(help="Most steps of a trace; the last takes all the rest.")] = 5,
    prompt: Annotated[
        str | None, typer.Option(help="Bundled prompt, or a text file with {question}; by default that of the grading.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="System message before the prompt; needs a chat form.")] = None,
    chat: Annotated[
        bool,
        typer.Option("--chat", help="Prompt in the chat template (servers: continue_final_message if not stated)."),
    ] = False,
    template: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Argument of the chat template; repeatable.")
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0, help="0: the most likely token always; else tokens are drawn.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    samples: Annotated[
        int, typer.Option(min=1, help="Steps drawn of each model at each prefix; needs a temperature.")
    ] = 1,
    from_log: Annotated[
        Path | None, typer.Option(help="Decision log of a server, of which OUT/bank is made; nothing is generated.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with local files of known datasets.")] = None,
    question_field: Annotated[str, typer.Option(help="Field of the question in a file of your own.")] = "question",
    answer_field: Annotated[str, typer.Option(help="Field of the answer in a file of your own.")] = "answer",
    max_table_characters: Annotated[
        int | None, typer.Option(help="Leave out problems whose tables have more characters; rows are chosen before.")
    ] = None,
    data_licence: Annotated[str, typer.Option(help="Licence of the problems in a file of your own.")] = "unknown",
    grading: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(GRADERS)}, judge:MODEL,url=ADDRESS, or module:function; by default what the "
            "dataset needs; needed, with --prompt, for a file of your own."
        ),
    ] = None,
    drop_duplicates: Annotated[
        bool,
        typer.Option("--drop-duplicates", help="Leave out problems whose question came before, in OUT too."),
    ] = False,
    max_tokens: Annotated[int, typer.Option(help="Most tokens that a model writes before it hands over.")] = 200,
    step: Annotated[
        str | None, typer.Option(help=f"What ends a step: {', '.join(STEPS)}; by default that of the grading.")
    ] = None,
    min_characters: Annotated[int, typer.Option(help="Shorter steps are merged into the next.")] = 1,
    merge_headings: Annotated[bool, typer.Option(help="Merge steps that are only a heading into the next.")] = False,
    blank_line_ends: Annotated[
        bool, typer.Option("--blank-line-ends", help="A blank line ends a trace, as it does the prompt's examples.")
    ] = False,
    repeat_limit: Annotated[int, typer.Option(help="End a trace when a step stands so often; 0: never.")] = 0,
    in_flight: Annotated[int, typer.Option(help="Trees grown at a time.")] = 24,
    repeatable: Annotated[
        bool, typer.Option("--repeatable", help="Run all models in float32: the ties of bfloat16 fall by the batch.")
    ] = False,
    ray: Annotated[int, typer.Option(help="Worker processes on a Ray cluster; 0: this process.")] = 0,
    gpus_per_worker: Annotated[float, typer.Option(help="GPUs that Ray gives to each worker.")] = 0,
    ray_address: Annotated[str | None, typer.Option(help="Address of a running Ray cluster.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the bank; by default that of the folder.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the recorded traces (SPDX).")] = "MIT",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Record every trace that a router could bring about, and build a bank of them in OUT/bank.

    May be stopped at any moment, by kill -9 too, and started again with the same command.
    """
    console = Console(stderr=as_json)
    with plain_errors(ImportError, RuntimeError):
        if from_log is not None:
            _from_log(from_log, out, console, dataset, models or config)
            return
        if not dataset:
            raise ValueError("dataset is missing; allowed: --dataset, once or more, or --from-log")
        pool = None if config is None else _pool(config, context)
        if pool is not None:
            specs, grading = tuple(model.spec() for model in pool.models), pool.grading
        elif models:
            specs = tuple(GeneratorSpec.parse(text) for text in models)
        else:
            raise ValueError("models are missing; allowed: --models, twice or more, or --config")
        form = ChatForm(system, tuple(_argument(text) for text in template or ()))
        drawn = Sampling(temperature=temperature, seed=seed) if temperature else GREEDY
        specs = tuple(spec.with_chat(form, chat=chat).drawing(drawn) for spec in specs)
        if repeatable:
            specs = tuple(spec.repeatable() for spec in specs)
        selections = tuple(
            Selection.parse(
                text,
                data=data,
                question=question_field,
                answer=answer_field,
                grading=grading,
                licence=data_licence,
            )
            for text in dataset
        )
        if max_table_characters is not None:
            selections = tuple(selection.with_tables_up_to(max_table_characters) for selection in selections)
        if drop_duplicates:
            selections = without_duplicates(selections)
        if pool is not None:
            prompt_template, rule = pool.template(), pool.rule()
        else:
            if prompt is None and any(selection.file is not None for selection in selections):
                raise ValueError("prompt is missing; allowed for a file of your own: --prompt, a bundled one or a file")
            prompt_template = load_prompt(prompt or default_prompt(selections[0].grading))
            rule = step_rule(
                prompt_template,
                selections[0].grading,
                step=step,
                horizon=horizon,
                max_tokens=max_tokens,
                min_characters=min_characters,
                merge_headings=merge_headings,
                blank_line_ends=blank_line_ends,
                repeat_limit=repeat_limit,
            )
        session = RecordingSession(
            specs=specs,
            selections=selections,
            settings=RecordingSettings(
                prompt_template,
                mode=_mode(mode),
                rule=rule,
                grading=selections[0].grading,
                in_flight=in_flight,
                samples=samples,
                judgements=out / JUDGEMENTS,
            ),
            out=out,
            command=_command(sys.argv[1:]),
            licence=licence,
            drop_duplicates=drop_duplicates,
        )
        bank_name = name or out.resolve().name
        for note in notes(selections, bank_name):
            console.print(f"note: {escape(note)}", soft_wrap=True)
        stats = _run(session, console, workers=ray, address=ray_address, gpus=gpus_per_worker)
        for problem, reason in stats.failed.items():
            console.print(f"given up: {escape(problem)}: {escape(str(reason))}")
        bank = session.bank(bank_name)
        write_text(out / CARD, bank_card(bank))
    console.print(
        f"{stats.trees} new trees with {stats.nodes:,} nodes, {sum(stats.tokens):,} tokens at "
        f"{stats.tokens_per_second:.1f} tokens/s; {escape(str(out / 'bank'))} holds {len(bank.problems)} problems, "
        f"{escape(str(out / CARD))} tells of them"
    )
    if asked := bank.manifest.grader.asked:
        kept = escape(str(out / JUDGEMENTS))
        console.print(f"judged by a model: {asked.calls} replies, {asked.tokens:,} tokens ({kept})")
        if asked.unread:
            console.print(
                f"[yellow]warning:[/yellow] {asked.unread} of {asked.calls} replies of the judge say neither correct "
                "nor incorrect, and count as wrong: better another judge",
                soft_wrap=True,
            )
    print_endings(console, bank.manifest.endings)
    for warning in grade_warnings(int(bank.terminal.sum()), int(bank.correct[bank.terminal].sum())):
        console.print(f"[yellow]warning:[/yellow] {warning}", soft_wrap=True)
    if as_json:
        print(json.dumps(_told(stats, bank, out / "bank"), indent=1, ensure_ascii=False))
    if stats.timed_out:
        console.print(f"{stats.timed_out} final answers count as wrong because their grading took too long")


def _told(stats: RecordingStats, bank: Bank, folder: Path) -> dict[str, Any]:
    endings = bank.manifest.endings or {}
    return {
        "bank": str(folder),
        "problems": len(bank.problems),
        "new_trees": stats.trees,
        "new_nodes": stats.nodes,
        "tokens": dict(zip(bank.pool.names, stats.tokens, strict=True)),
        "tokens_per_second": stats.tokens_per_second,
        "given_up": {problem: str(reason) for problem, reason in stats.failed.items()},
        "endings": {name: plain(count) for name, count in endings.items()},
    }


def _run(
    session: RecordingSession, console: Console, *, workers: int, address: str | None, gpus: float
) -> RecordingStats:
    columns = (
        TextColumn("recording"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]:.1f} tokens/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("recording", total=len(session.missing()), speed=0.0)

        early: list[dict[str, Any]] = []

        def on_tree(stats: RecordingStats, tree: dict[str, Any]) -> None:
            progress.update(task, completed=stats.trees, speed=stats.tokens_per_second)
            if len(early) < EARLY:
                early.append(tree)
                endings = count_endings(early, session.names)
                if len(early) == EARLY and print_endings(progress.console, endings):
                    progress.console.print(
                        f"after {EARLY} problems: better stop, change the settings, and record into another folder"
                    )

        if workers:
            from gym_stepwise_routing.recorder.ray_workers import record_with_ray

            return record_with_ray(session, workers=workers, address=address, gpus_per_worker=gpus, on_tree=on_tree)
        return session.run(on_tree=on_tree)


def _argument(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--template {text!r}; allowed: NAME=VALUE")
    return ChatForm.argument(name, value)


def _from_log(log: Path, out: Path, console: Console, *others: object) -> None:
    from gym_stepwise_routing.serving.log_bank import bank_from_log

    if any(others):
        raise ValueError("from_log together with dataset, models or config; allowed: the log alone, which names them")
    made = bank_from_log(log, out / "bank")
    write_text(out / CARD, bank_card(made.bank))
    console.print(f"{escape(str(out / 'bank'))}: {made.taken} of {made.requests} requests")
    for reason, count in made.left_out.items():
        console.print(f"left out: {count} ({escape(reason)})", soft_wrap=True)


def _pool(config: Path, context: typer.Context) -> PoolConfig:
    """The pool file, which says all that the options of :data:`_IN_POOL_FILE` would say.

    Raises:
        ValueError: the file is at fault, an option says it as well, or the prompt is none that a bank can name.
    """
    from gym_stepwise_routing.serving.pool_config import load_config

    for name in _IN_POOL_FILE:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            option = name.replace("_", "-")
            raise ValueError(f"--{option}={context.params[name]!r} with --config={str(config)!r}; allowed: one of them")
    pool = load_config(config)
    if pool.takes_messages:
        raise ValueError(f"{config}: prompt='messages'; allowed in a recording: a prompt template")
    return pool


def _mode(mode: str) -> Mode:
    return mode  # type: ignore[return-value]  # checked by RecordingSettings, which names what is allowed


def _command(words: Sequence[str]) -> str:
    """The command line, without keys, and without ``--in-flight``, which decides nothing but speed."""
    kept: list[str] = []
    for word in words:
        if kept and kept[-1] == "--in-flight":
            kept[-1:] = []
        elif not word.startswith("--in-flight="):
            kept.append(",".join(part for part in word.split(",") if not part.startswith("key=")))
    return shlex.join(["stepwise-routing", *kept])
