"""Steps of programs: logical lines of Python, with their indentation in columns."""

import tokenize
from io import StringIO

import numpy as np
import pytest

from gym_stepwise_routing.generators.generator import Completion
from gym_stepwise_routing.generators.logical_lines import end_of_logical_line, in_columns
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.generators.steps import read_steps

RULE = StepRule(stop=("```",), answer=None, horizon=9, python=True)

PROGRAM = '''\
import re

def f(x, y=(1,
            2)):
    """Two
    lines: "quoted", 'both'."""
    # a comment goes with what follows
    total = x + \\
        sum(y)
    text = "# no comment" + 'it\\'s "one" line'
    if total > 3:  # (an open bracket in a comment
        return {
            "a": [total],

        }
    return \'\'\'
end\'\'\'
'''
LOGICAL = [
    "import re\n",
    "\ndef f(x, y=(1,\n            2)):\n",
    '    """Two\n    lines: "quoted", \'both\'."""\n',
    "    # a comment goes with what follows\n    total = x + \\\n        sum(y)\n",
    '    text = "# no comment" + \'it\\\'s "one" line\'\n',
    "    if total > 3:  # (an open bracket in a comment\n",
    '        return {\n            "a": [total],\n\n        }\n',
    "    return '''\nend'''\n",
]


def lines(text: str) -> list[str]:
    found, start = [], 0
    while (end := end_of_logical_line(text, start)) is not None:
        found.append(text[start:end])
        start = end
    return found


def test_lines_are_those_of_the_grammar():
    assert lines(PROGRAM) == LOGICAL
    newlines = [
        token for token in tokenize.generate_tokens(StringIO(PROGRAM).readline) if token.type == tokenize.NEWLINE
    ]
    assert len(newlines) == len(LOGICAL)


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends(end):
    assert lines(PROGRAM.replace("\n", end)) == [line.replace("\n", end) for line in LOGICAL]


@pytest.mark.parametrize(
    "text", ["x = (1,\n2", 'x = """\n', "x = 1 + \\\n", "# only this\n", "\n\n", "x = 1", "", "x = '''a\n''"]
)
def test_what_is_not_over_yet(text):
    assert end_of_logical_line(text) is None


@pytest.mark.parametrize("text", ["x = 'open\ny = 1\n", "x = ))\ny = 1\n"])
def test_a_faulty_line_ends_with_its_line(text):
    assert lines(text) == text.splitlines(keepends=True)


def test_tabs_become_columns_but_not_in_strings():
    program = 'def f():\n\tif 1:\n  \t\tx = """\n\tkept\n"""\n\t# said\n\treturn (x,\n\t\t1)\n'
    spaces = " " * 8
    assert in_columns(program) == (
        f'def f():\n{spaces}if 1:\n{spaces * 2}x = """\n\tkept\n"""\n{spaces}# said\n{spaces}return (x,\n\t\t1)\n'
    )


def test_steps_keep_their_indentation():
    text = "def f(x):\n\n\treturn (x,\n 1)\n```\nmore"
    steps = read_steps(_whole(text), RULE, ())
    assert [step.text for step in steps] == ["def f(x):", "        return (x,\n 1)"]
    assert RULE.prefix([step.text for step in steps]) == "def f(x):\n        return (x,\n 1)\n"
    assert steps[-1].ending == "stop"


def test_two_models_may_differ_in_tabs():
    steps = ["def f(x):", RULE.step_text("\ty = x\n"), RULE.step_text("        return y")]
    compile(RULE.prefix(steps), "<joined>", "exec")
    with pytest.raises(TabError):
        compile("def f(x):\n\ty = x\n        return y\n", "<as written>", "exec")


def test_python_has_one_delimiter():
    with pytest.raises(ValueError, match=r"delimiter='\\n\\n' with python=True; allowed: '\\n'"):
        StepRule(delimiter="\n\n", stop=(), python=True)


def _whole(text: str) -> Completion:
    pieces = tuple(text)
    count = len(pieces)
    return Completion(
        text=text,
        tokens=count,
        pieces=pieces,
        logprob=np.zeros(count),
        top=np.zeros((count, 2)),
        finish="stop",
        prompt_tokens=1,
    )
