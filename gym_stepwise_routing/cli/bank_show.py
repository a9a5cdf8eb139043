"""``stepwise-routing bank show``: the tree of one problem in the terminal, each step in the colour of its model."""

from __future__ import annotations

from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.errors import BankError

__all__ = ["tree_of"]

_COLOURS = ("dodger_blue2", "dark_orange", "spring_green4", "orchid", "gold3")


def tree_of(bank: Bank, identity: str, *, question: str | None = None, depth: int | None = None) -> Tree:
    """The tree of a problem.

    Args:
        bank: the bank.
        identity: id of the problem, such as ``gsm8k/test/17``.
        question: text of the question, where it is at hand; a bank has none.
        depth: steps shown; None: all.

    Raises:
        BankError: the bank has no such problem.
    """
    if identity not in bank.problem_ids:
        some = ", ".join(bank.problem_ids[:3])
        raise BankError(f"problem={identity!r} is not in bank {bank.name!r}; allowed: one of it, such as {some}")
    problem = bank.problem_ids.index(identity)
    names = " ".join(f"[{_colour(number)}]{escape(model)}[/]" for number, model in enumerate(bank.pool.names))
    head = f"[bold]{escape(identity)}[/]  reference {escape(bank.problems.answer[problem].as_py())}  ({names})"
    root = Tree(head if question is None else f"{head}\n{escape(question)}")
    waiting: list[tuple[int, Tree]] = [(int(bank.problems.root[problem]), root)]
    while waiting:
        node, shown = waiting.pop()
        same = int(bank.nodes.same_as[node])
        if same >= 0:
            shown.add(Text("goes on as the same step above", style="dim"))
            continue
        if depth is not None and bank.depth[node] >= depth:
            continue
        children = [(model, int(child)) for model, child in enumerate(bank.child[node]) if child >= 0]
        made = [(child, shown.add(_step(bank, model, child))) for model, child in children]
        waiting += made[::-1]
    return root


def _colour(model: int) -> str:
    return _COLOURS[model % len(_COLOURS)]


def _step(bank: Bank, model: int, node: int) -> Text:
    text = bank.text(node)
    said = Text("(no text)" if text is None else text or "(nothing)", style=_colour(model))
    said.append(f"  {bank.tokens[node]} tokens", style="dim")
    if bank.terminal[node]:
        right = bool(bank.correct[node])
        answer = bank.final_answer(node)
        why = bank.ending(node)
        said.append("\n")
        said.append("right" if right else "wrong", style="bold green" if right else "bold red")
        said.append(f": {'no answer' if answer is None else answer}" + (f", ended by {why}" if why else ""))
    return said
