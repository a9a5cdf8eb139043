"""``stepwise-routing score``: verifier scores for every step of a bank, as a file for ``compare --scores``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from gym_stepwise_routing.cli.bank_command import BankArgument, QuestionsOption
from gym_stepwise_routing.errors import check_choice

__all__ = ["score"]

DTYPES = ("auto", "float32", "bfloat16", "float16")
KINDS = ("prm-tag", "prm-labels", "rating", "max-logit")


def score(
    bank: BankArgument,
    model: Annotated[str, typer.Option(help="Local folder or hub name of the PRM, or of the model of the bank.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write; goes on with one that is there.")],
    kind: Annotated[
        str,
        typer.Option(
            help="prm-tag, prm-labels: process reward model; "
            "rating: the bank's largest model rates drafts (SpecReason); max-logit: largest logits of its smallest "
            "model (STEER)."
        ),
    ],
    questions: QuestionsOption = None,
    split: Annotated[
        list[str] | None, typer.Option(help="A split to score, may be repeated; all splits if left out.")
    ] = None,
    any_weights: Annotated[
        bool, typer.Option("--any-weights", help="rating, max-logit: do not check that MODEL is the bank's.")
    ] = False,
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16 or float16; auto is the type of the weights' files.")
    ] = "auto",
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Runs code from the hub.")] = False,
) -> None:
    """Score every step of a bank with a verifier. Question texts come from files, or else from the datasets library."""
    from gym_stepwise_routing.banks import Bank
    from gym_stepwise_routing.banks.questions import join_questions
    from gym_stepwise_routing.baselines.verifiers import hub
    from gym_stepwise_routing.baselines.verifiers.bank_judging import check_weights, judge_bank, prompt_of, small_steps
    from gym_stepwise_routing.baselines.verifiers.score_files import known_scores, write_scores
    from gym_stepwise_routing.cli.compare_command import question_files

    try:
        check_choice("kind", kind, KINDS)
        opened = Bank.open(bank)
        texts = join_questions(opened, question_files(questions) if questions else None)
        check_choice("dtype", dtype, DTYPES)
        loading: dict[str, Any] = {"dtype": dtype, "trust_remote_code": trust_remote_code}
        judge: hub.StepJudge
        smallest, largest = opened.pool[0], opened.pool[-1]
        if not any_weights and kind in ("rating", "max-logit"):
            check_weights(model, largest if kind == "rating" else smallest)
        if kind == "rating":
            judge = hub.LargeModelRater(model, **loading)
            charged = judge.as_model(largest)
        elif kind == "max-logit":
            delimiter = opened.manifest.step_rule.separator
            judge = hub.MaxLogit(model, prompt_of(opened), delimiter=delimiter, **loading)
            charged = judge.as_model(smallest)
        else:
            style = hub.PrmStyle() if kind == "prm-tag" else hub.PrmStyle("labels", separator="\n")
            judge = hub.HubPrm(model, style, **loading)
            charged = judge.as_model()
        rows = small_steps(opened) if kind in ("rating", "max-logit") else np.arange(len(opened.nodes))
        if split:
            problems = np.concatenate([opened.split_problems(name) for name in split])  # type: ignore[arg-type]
            rows = rows[np.isin(opened.nodes.problem[rows], problems)]
        scored = judge_bank(
            opened,
            texts,
            judge,
            rows=rows,
            known=known_scores(out, opened, charged) if out.exists() else None,
            save=partial(write_scores, out, opened, charged),
            shown=partial(track, description="problems"),
        )
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None
    Console().print(f"wrote {out}: {int((scored == scored).sum())} steps scored by {charged.name}", highlight=False)
