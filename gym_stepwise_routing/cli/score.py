"""``stepwise-routing score``: verifier scores for every step of a bank, as a file for ``compare --scores``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gym_stepwise_routing.cli.bank import BankArgument, QuestionsOption
from gym_stepwise_routing.errors import check_choice

__all__ = ["score"]

KINDS = ("text", "prm-tag", "prm-labels", "rating")


def score(
    bank: BankArgument,
    model: Annotated[str, typer.Option(help="Local folder or hub name of the encoder, PRM, or large model.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    kind: Annotated[
        str,
        typer.Option(
            help="text: encoder, fine-tuned on the train split's trees; prm-tag, prm-labels: process reward model; "
            "rating: the bank's largest model rates steps (SpecReason)."
        ),
    ] = "text",
    questions: QuestionsOption = None,
    layers: Annotated[int, typer.Option(help="text: topmost layers that are fine-tuned.")] = 2,
    epochs: Annotated[int, typer.Option(help="text: passes over the train steps.")] = 2,
    seed: Annotated[int, typer.Option(help="text: seed of training.")] = 0,
    any_weights: Annotated[
        bool, typer.Option("--any-weights", help="rating: do not check that MODEL is the bank's largest model.")
    ] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Runs code from the hub: prm-tag, prm-labels and rating only.")
    ] = False,
) -> None:
    """Score every step of a bank with a verifier. Question texts come from files, or else from the datasets library."""
    from gym_stepwise_routing.banks import Bank
    from gym_stepwise_routing.banks.questions import join_questions
    from gym_stepwise_routing.baselines.verifiers.scores import write_scores
    from gym_stepwise_routing.cli.compare import question_files

    try:
        check_choice("kind", kind, KINDS)
        opened = Bank.open(bank)
        texts = join_questions(opened, question_files(questions) if questions else None)
        if kind == "text":
            from gym_stepwise_routing.baselines.verifiers.text import TextVerifier, text_scores

            verifier = TextVerifier(model, layers=layers, epochs=epochs, seed=seed)
            scored, charged = text_scores(opened, texts, verifier), verifier.as_model()
        else:
            from gym_stepwise_routing.baselines.verifiers.hub import (
                HubPrm,
                LargeModelRater,
                PrmStyle,
                check_rater,
                judge_bank,
            )

            if kind == "rating":
                largest = opened.pool[-1]
                if not any_weights:
                    check_rater(model, largest)
                rater = LargeModelRater(model, trust_remote_code=trust_remote_code)
                scored, charged = judge_bank(opened, texts, rater), rater.as_model(largest)
            else:
                style = PrmStyle() if kind == "prm-tag" else PrmStyle("labels", separator="\n")
                judge = HubPrm(model, style, trust_remote_code=trust_remote_code)
                scored, charged = judge_bank(opened, texts, judge), judge.as_model()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    write_scores(out, opened, charged, scored)
    Console().print(f"wrote {out}: {int((scored == scored).sum())} steps scored by {charged.name}", highlight=False)
