"""Answers that stand in a sentence: which one counts, and other people's verdicts on whole solutions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gym_stepwise_routing.datasets import Problem, load_problems
from gym_stepwise_routing.grading.pool import GraderPool

pytest.importorskip("math_verify")

from gym_stepwise_routing.grading.mathematics import MathGrader
from gym_stepwise_routing.grading.statements import stated_expression


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The final answer is **7**.", "7"),
        (r"The answer is $\frac12$ since both are even.", r"\frac12"),
        ("**Answer:** 12", "12"),
        ("Final Answer: The final answer is $16\\pi$. I hope it is correct.", r"$16\pi$"),
        ("The answer is 45°.", "45°"),
        ("**Answer:** She received $7.00 in change.", "$7.00"),
        ("**Answer:** The smallest value of \\(n\\) is \\(n = 10\\).", "10"),
        ("Three steps.\n\nTherefore, the values are \\(m = 6\\) and \\(m = -2\\).", "6,-2"),
        ("Therefore, the red rope is 20 centimeters.", "20"),
        ("The 20th digit of \\(\\frac29\\) is **6**.", "6"),
        ("\\[a+b\\] Thus, the chance that one of 6 wins is \\(\\frac{11}{30}\\).", r"\frac{11}{30}"),
        ("Therefore, the maximum is **13**, which needs a small \\(x\\).", "13"),
        ("Thus there are **24 different** cubes of 8 colours.", "24"),
        ("Hence the nearest number to \\(100E\\) is about \\(271.8\\), which makes it **272**.", "272"),
        ("So the number nearest to it is (are) 81.", "81"),
        ("Conclusion: Thus, the numbers are \\(n = 5\\) and \\(n = 15\\).", "5,15"),
        ("So there are 6. This holds for every", None),
        ("So there are 6. We get \\(n = 5\\).", None),
        ("Therefore the largest \\(n\\) is 9. This means that it divides 9 times.", "9"),
        ("The range is \\([0, 1]\\). This covers all steps.", "[0, 1]"),
        ("Therefore the function is: \\[f(x) = 1 - x.\\] This one has a slope.", "1 - x"),
        ("Therefore, 20 workers are needed to make \\(\\frac{720}{K}\\) of them.", "20"),
        ("Total_climbed = 80.", "80"),
        ("\\[p = 1 - q\\]\nConclusion: The chance of it is \\(q\\).", "q"),
        ("Thus it is 6. One sentence. Two sentences. Three of them.", None),
        (r"Hence \boxed{3} and \boxed{4}.", "3,4"),
        (r"First \boxed{4}. No, \boxed{6}.", "6"),
        (r"Nothing: \boxed{}", None),
        ("We want the answer to be in a box.", None),
        ("We get 4.", None),
        ("So far we have 4 and 5 and 6.\n\nThis explains the method", None),
    ],
)
def test_what_a_text_states(text: str, answer: str | None) -> None:
    assert stated_expression(text) == answer


@pytest.fixture(scope="module")
def grader() -> Iterator[MathGrader]:
    grader = MathGrader(timeout=30)
    yield grader
    grader.close()


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        (r"\frac{1}{2^{1007}}", r"\frac{1}{2^{1008}}", False),
        (r"\frac{1}{2^{1007}}", "2^{-1007}", True),
        ("0", "10^{-9}", False),
        ("1/3", "0.333333", True),
        (r"(-\infty,-5)", "k<-5", True),
        ("k<-5", r"(-\infty,-5]", False),
        (r"[\frac12,8]", r"\(\frac{1}{2} \leq x \leq 8\)", True),
        ("0<x<1", "(0,1]", False),
        (r"45^\circ", "45°", True),
        ("-3", "\u20133", True),
        (r"\sqrt{3}", "√3", True),
        ("12.5%", "12.5", False),
        (r"8\sqrt{3} \text { square inches}", r"8\sqrt{3}", True),
        ("10000", "10{,}000", True),
        ("76", "E(2020, 1993) = 76", True),
        ("76", "E(2020, 1993) = 75", False),
        ("f(x)=2x+1", "f(y) = 2y + 1", True),
        ("f(x)=2x+1", "g(y) = 2y + 1", False),
    ],
)
def test_pairs(grader: MathGrader, reference: str, answer: str, equal: bool) -> None:
    assert grader.equal(reference, answer) is equal


def test_a_pool_grades_in_order_and_as_one_grader_does(grader: MathGrader) -> None:
    texts = [(f"The answer is {n}.", Problem("own", "test", n, "?", str(n - n % 3))) for n in range(12)]
    with GraderPool("math", 2) as pool:
        assert list(pool(texts)) == [grader(*item) for item in texts]


def test_a_pool_of_no_workers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"workers=0; allowed: an integer >= 1"):
        GraderPool("numeric", 0)


_DIFFER = {
    "gsm8k-70": "published verdict is mistaken: the reference is boxed",
    "gsm8k-74": "published verdict is mistaken: the reference is boxed",
    "gsm8k-286": "ours: the last sentence neither concludes nor ends with its number",
    "gsm8k-319": "two numbers are boxed, the reference is their sum",
    "math-392": "equal, and published as wrong for its form",
    "omnimath-591": "published as right, 10080 is not 10000",
    "omnimath-660": "no answer in the text: an empty box",
    "omnimath-822": "published as right, the box holds words",
    "omnimath-922": "published as right, without the root",
    "omnimath-943": "published as right, the volume is another one",
}
"""Solutions of ProcessBench on which ours and the published verdict differ, of the 919 whose references are at hand."""


@pytest.mark.slow
def test_processbench(shared_dir: Path) -> None:
    data = shared_dir / "data"
    if not (data / "processbench").is_dir():
        pytest.skip("ProcessBench is not at hand")
    known = {}
    for name, split in (("gsm8k", "test"), ("math500", "test"), ("math", "train"), ("omni_math_rule", "test")):
        for problem in load_problems(name, split, data=data):
            known.setdefault(" ".join(problem.question.split()), problem)
    rows = [
        row
        for name in ("gsm8k", "math", "omnimath")
        for row in json.loads((data / "processbench" / f"{name}.json").read_text())
        if " ".join(row["problem"].split()) in known
    ]
    assert len(rows) == 919
    with GraderPool("math", 2) as pool:
        grades = pool(("\n\n".join(row["steps"]), known[" ".join(row["problem"].split())]) for row in rows)
        differ = {
            row["id"] for row, grade in zip(rows, grades, strict=True) if grade.correct != row["final_answer_correct"]
        }
    assert differ == set(_DIFFER)
    assert sum(reason.startswith("ours") for reason in _DIFFER.values()) <= 10
