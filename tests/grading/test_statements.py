"""Answers that stand in a sentence: which one counts, and other people's verdicts on whole solutions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gym_stepwise_routing.datasets import Problem, load_problems
from gym_stepwise_routing.grading.pool import GraderPool

pytest.importorskip("math_verify")

from gym_stepwise_routing.grading.mathematics import BOXED_LINE, MathGrader
from gym_stepwise_routing.grading.statements import stated_expression

_BLANKS = [
    *[
        "answer",
        "Your Final Answer",
        "answer here",
        "<answer>",
        "[answer]",
        r"\text{your answer here}",
        "insert answer",
        "result",
    ],
    *["...", r"\ldots", r"\cdots", "?", r"\,", r"\quad", "___", r"\_\_", r"\square", "~", r"\text{ }", "{}", "\u2026"],
]
"""What instructions put into a box that they speak of."""


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
        *((rf"Put it into \boxed{{{blank}}}", None) for blank in _BLANKS),
        *((rf"It is \boxed{{5}}, as asked in \boxed{{{blank}}}.", "5") for blank in _BLANKS),
        ("We want the answer to be in a box.", None),
        ("We get 4.", None),
        ("So far we have 4 and 5 and 6.\n\nThis explains the method", None),
    ],
)
def test_what_a_text_states(text: str, answer: str | None) -> None:
    assert stated_expression(text) == answer


@pytest.mark.parametrize("blank", _BLANKS)
def test_a_box_of_an_instruction_ends_no_trace(blank: str) -> None:
    assert re.search(BOXED_LINE, rf"Put it into \boxed{{{blank}}} please") is None


@pytest.mark.parametrize(
    "content", ["5", "-5", "x", ".5", r"\text{Yes}", "answers", r"\text{no solution}", "?5", "(1, 2)"]
)
def test_a_box_that_holds_something_ends_a_trace(content: str) -> None:
    assert re.search(BOXED_LINE, rf"It is \boxed{{{content}}}.") is not None


@pytest.mark.parametrize(
    "text",
    [
        "The answer is not 5.",
        "The answer is wrong. Let me try again.",
        "The answer is either 4 or 5.",
        "The answer is less than 10.",
        "The answer is greater than 12.",
        "The answer is shown in line 7.",
        "The answer is given by the formula in (7).",
        "The answer is the same as 5.",
        "The answer is a number with 3 digits.",
        "The answer is 7? No.",
        "The answer is 7. Wait, no. It is 9.",
        "The answer is 7. But that is wrong.",
        "Therefore it is not 5.",
        "Therefore $x$ is not $5$.",
        "Therefore it is not true that the total is 5.",
        "Therefore, $x$ cannot be $5$.",
        "Thus, we cannot determine 5.",
        "Thus we do not have 5.",
        "Hence $5$ does not divide it.",
        "Hence the case $n = 3$ fails.",
        "Hence we need to show that $n$ is $7$.",
        "So suppose the number is 7.",
        "So assume $x = 7$.",
        "So if $x$ is 7, then it works.",
        "So, we try $n = 8$.",
        "So far, the total is 8.",
        "So we need to check 4 cases.",
        "Finally, we need to divide by 4.",
        "Finally, add 3.",
        "Finally, we check that the sum is 12.",
        "Therefore, we must calculate 4 more values.",
        "In conclusion, I could not solve it in 3 steps.",
        "Therefore, equation (3) has no solution.",
        "Therefore, Question 3 is solved.",
        "Therefore, by Theorem 3, the number is prime.",
        "Thus, the number is divisible by 7.",
        "Thus, the sum is a multiple of 9.",
        "Thus the answer is one of $3$, $5$.",
        "Therefore, the number is 5 less than 12.",
        "Therefore, the number is 5x.",
        "Therefore, the number is x - 5.",
        "Therefore, it takes 5 minutes and 30 seconds.",
        "Therefore, it is 5 minutes and 30 seconds.",
        "So the total is 7. This is wrong.",
        "So there are 6. Wait, one is missing.",
    ],
)
def test_a_sentence_that_concludes_nothing_states_no_answer(text: str) -> None:
    assert stated_expression(text) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Therefore, the total is 2 + 3 = 5.", "5"),
        ("Therefore, the number is 2^5.", "2^5"),
        ("Therefore, the ratio is 3:4.", "3:4"),
        ("Therefore, the ratio is 3 to 4.", "3 to 4"),
        ("Therefore, the time is 3:45.", "3:45"),
        ("Therefore, the total is 1.5 million.", "1.5 million"),
        ("Therefore, there are 3 1/2 hours.", "3 1/2 hours"),
        ("Therefore, the probability is 3 out of 8.", "3/8"),
        ("Thus the roots are 9 and 10.", "9,10"),
        ("Thus the roots are 9, 10, and 11.", "9,10,11"),
        ("The answer is minus 5.", "-5"),
        ("Therefore, the number is minus 5.", "-5"),
        ("Therefore, 4 guests did not get one.", "4"),
        ("Finally, add 3 to get $12$.", "12"),
        ("Therefore, there are 5 pens and he is glad.", "5"),
        ("So, if there are 12 in a dozen, he has 24 eggs.", "24"),
        ("Therefore, the number who do not like it is 12.", "12"),
        ("Therefore, John has 5 more apples than Mary.", "5"),
        ("So she needs at least 12. This is all.", "12"),
    ],
)
def test_the_whole_of_an_answer_counts_and_not_its_first_number(text: str, answer: str) -> None:
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
        (r"2^{2015}+\lfloor(\frac{3}{2})^{2015}\rfloor-2", r"2^{2015}-2+\lfloor(\frac{3}{2})^{2015}\rfloor", True),
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
