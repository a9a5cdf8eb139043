r"""Where a text states its final answer, and what of the sentence is the answer.

A box counts before a sentence that names the answer, and that before the sentence with which a text concludes. Within
such a sentence math is preferred to numbers, and what stands behind "is" to what stands before it.
"""

from __future__ import annotations

import re
from itertools import pairwise

from gym_stepwise_routing.datasets.boxed import PLACEHOLDER, boxes
from gym_stepwise_routing.grading.notation import without_full_stop

__all__ = ["stated_expression"]

_ANSWER = re.compile(
    r"(?:(?:final|correct) answer|the answer|(?:^|(?<=[\n.!*#>]))\s*answer)"
    r"(?:\s+to [^.\n]{1,80}?)?\**(?:\s+is|\s*[:=])\**:?\s*",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(
    r"(?:\A|(?<=[\n.!:\])]))\s*(?:therefore|thus|hence|so|(?:in )?conclusion|in summary|finally|consequently)\b",
    re.IGNORECASE,
)
_IS = re.compile(r"(?<![\w\\])(?:is \(are\)|(?:is|are|be|equals)\b):?")
_SAYS = re.compile(rf"{_IS.pattern}|(?<![\w\\])(?:total of|at|has|have)\b")
_SENTENCE_END = re.compile(r"(?<=[^.\s])[.!?](?=\s+[A-Z*\\]|\s*\Z)|(?<=\.\))(?=\s+[A-Z])")
_MATH = re.compile(
    r"\$\$(?P<a>.+?)\$\$|(?<!\\)\$(?P<b>[^$\n]+?)(?<!\\)\$|\\\((?P<c>.+?)\\\)|\\\[(?P<d>.+?)\\\]", re.DOTALL
)
_NUMBER = re.compile(r"(?:[-\u2212\u2013]\s?)?\\?\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?(?:\\?%|°)?|√\d+")
_NAMED = re.compile(
    r"^\s*(?:[A-Za-z]\w?|[A-Z]{2,3}|\\?angle\s*[A-Z]{1,3}|[a-zA-Z](?:_\{?\w+\}?)?(?:\^\d)?\([^()=]*\))\s*=\s*(?=\S)"
)
_BETWEEN = re.compile(r"^[\s$\\()\[\]]*(?:[,;]|,?\s*(?:and|or))[\s$\\()\[\]]*(?:[A-Za-z]\s*=\s*)?$")
_ALONE = re.compile(
    rf"\s*(?:approximately |about |only )?(?:{_NUMBER.pattern}|0)(?: ?(?:[a-z]+|cubic|square)){{0,4}}[\s.]*"
)
_BOLD = re.compile(rf"\*\*\s*({_NUMBER.pattern}|{_MATH.pattern})(?: [a-z]+){{0,3}}\s*\*\*", re.DOTALL)
_NEEDED = re.compile(rf"\s*,?\s*({_NUMBER.pattern})(?: [a-z]+){{1,3}} (?:is|are) (?:needed|required)\b")
_ASSIGNED = re.compile(rf"[A-Za-z]\w*\s*=\s*({_NUMBER.pattern})\.?")
_OPEN = re.compile(
    r"^\W*far\b|\b(?:suppose|assume|assuming|whether)\b[^,]*\Z|^\W*(?:if|when)\b[^,]*\Z"
    r"|\b(?:we|to|must|should|us|let's) (?:show|prove|check|verify|see)\b[^,]*\Z"
    r"|\b(?:not|cannot|never|\w+n['\u2019]t)\s*\Z|\bnot (?:true|the case|possible|clear|known|correct)\b[^,]*\Z",
    re.IGNORECASE,
)
"""What stands before a verb that states nothing: a report so far, a supposition, a task, a denial."""
_TO_DO = re.compile(
    r"^\W*(?:(?:we|i|you|one)?\s*(?:now |then |also |still )*(?:(?:need|have|want) to|must|should|can|could|will"
    r"|try(?: to)?|let us|let's)?\s*(?:now |then |also |still )*)(?:add|subtract|multiply|divide|calculate|compute|find"
    r"|test|take|use|solve|check|verify|show|prove|determine|(?P<supposed>try|consider|suppose|assume))\b",
    re.IGNORECASE,
)
_YIELDS = re.compile(r"=|\b(?:to (?:get|find|obtain)|(?:which|that) (?:gives|yields|makes)|giving|getting|yielding)\b")
_DENIED = re.compile(r"\b(?:not|cannot|\w+n['\u2019]t|never)\b", re.IGNORECASE)
_COUNTED = re.compile(
    rf"(?:{_NUMBER.pattern}|x\))\s+(?!(?:do|does|did|can|could|will|would|has|have|had|must|is|are)\b)[a-z]+",
    re.IGNORECASE,
)
"""A number of things, which a denial behind it does not deny: "4 guests did not come"."""
_FAILS = re.compile(
    r"\b(?:fails?|works?|impossible|wrong|incorrect|invalid|solved|(?:a )?contradiction)\W*\Z", re.IGNORECASE
)
_NO_VALUE = re.compile(
    r"\W*(?:not|never|neither|either|one of|impossible|wrong|incorrect|invalid|unknown|unclear|undefined"
    r"|undetermined|divisible|(?:a )?(?:multiple|factor|divisor)s?\b"
    r"|(?:strictly )?(?:less|greater|more|fewer|larger|smaller|bigger|higher|lower) than"
    r"|between|the same|shown|found (?:in|on|at)|given (?:in|by (?:the|eq))|a (?:number|formula)\b)\b",
    re.IGNORECASE,
)
"""What says of a value what it is not, how large, or of which kind."""
_WITHDRAWN = re.compile(
    r"[\s*]*(?:but |however,? |actually,? |oh,? |hmm,? )*(?:wait\b|no[,.]|oops|sorry"
    r"|(?:this|that|it|which) (?:is|was|can(?:no|')t be)(?: (?:wrong|incorrect|not (?:right|correct|possible|true)"
    r"|impossible)|n't (?:right|correct)| right\b)(?<!right))",
    re.IGNORECASE,
)
_POINTER = re.compile(
    r"\b(?:step|case|question|problem|equation|eq\.|theorem|lemma|claim|part|line|figure|example|section|exercise)s?"
    r"\s*\(?(?:\d+(?:\.\d+)*)\)?",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\s*(?:[-+*/\u00d7\u00f7\u00b7^:\u2212\u2013]|to|\\times|\\cdot)\s*\(?[\d.]+|!(?=\.)| \d+/\d+"
    r"|\s+(?:thousand|[mbtr]{1,2}illion)\b"
)
"""What makes a number the beginning of something longer: a sum, a ratio, a time, a mixed number, a magnitude."""
_OUT_OF = re.compile(r"\s+out of\s+(\d+)\b")
_AND_MORE = re.compile(rf"\s*(?:,\s*(?:and|or)|,|and|or)\s+({_NUMBER.pattern})(?=[\s.]*\Z|\s*(?:,|and|or)\s)")
_SPOILS = re.compile(
    rf"[xyznk\u03c0](?![A-Za-z])|√|\s+(?:less|more|fewer|greater) than\s+{_NUMBER.pattern}"
    rf"|\s+[a-z]+,? (?:and|or) {_NUMBER.pattern}"
)
"""What makes a number a part of something that is none."""
_TERM = re.compile(r"(?<![A-Za-z'])[A-Za-z]\s*[-+*/^\u2212]\s*\d|\d\s*[-+*/^\u2212]\s*[A-Za-z](?![A-Za-z])")
_MINUS = re.compile(r"(?<!\d )\b(?:minus|negative) (?=\d)")
_LONGEST = 400
"""Characters of a concluding sentence; a longer one concludes nothing."""
_CLOSED = (".", "]", "$", ")")
_SENTENCES = 3
"""Sentences at the end of a text of which the last that concludes counts."""


def stated_expression(text: str) -> str | None:
    r"""The final answer of a text, None where it states none.

    It is the last ``\boxed{}`` (several that only "and" or commas part are one list), else what follows the last "The
    answer is" or "Answer:", else what the last sentence says, where it concludes ("Therefore, the area is $6$.").
    """
    if boxed := _boxed(text):
        return boxed
    found = list(_ANSWER.finditer(text))
    if found:
        line = text[found[-1].end() :].split("\n")[0].strip() or text[found[-1].end() :].strip().split("\n")[0]
        sentence = _first_sentence(line)
        behind = line[len(sentence) :]
        if behind.startswith("?") or _NO_VALUE.match(sentence) or _WITHDRAWN.match(behind.lstrip(".! *")):
            return None
        return _said(sentence)
    return _concluded(text)


def _boxed(text: str) -> str | None:
    found = boxes(text)
    while found and not _filled(found[-1][2]):
        found.pop()
    if not found:
        return None
    listed = [found.pop()]
    while found and _filled(found[-1][2]) and _BETWEEN.match(text[found[-1][1] : listed[0][0]]):
        listed.insert(0, found.pop())
    parts = dict.fromkeys(content.strip() for _, _, content in listed)
    return ",".join(parts)


def _filled(content: str) -> bool:
    return re.fullmatch(PLACEHOLDER, content) is None


def _first_sentence(line: str) -> str:
    end = _SENTENCE_END.search(_masked(line))
    return line[: end.start()] if end else line


def _said(sentence: str) -> str | None:
    """The answer of what follows "the answer is": its first math or number, else all of it."""
    plain = _MINUS.sub("-", sentence.replace("**", "").strip())
    math = _MATH.search(plain)
    before = plain if math is None else plain[: math.start()].strip()
    numbers = _NUMBER.findall(before)
    if math is None:
        wordy = re.search(r"[A-Za-z]{2,} .*\d", plain) is not None  # a sentence, as "She received $7 in change"
        return numbers[0] if wordy and len(numbers) == 1 else without_full_stop(plain) or None
    if (numbers and not _NUMBER.sub("", before).strip()) or (not before and not plain[math.end() :].strip(". ")):
        return without_full_stop(plain)
    return (_conclusion(plain) if before and _IS.search(_masked(plain)) else None) or _listed(plain[math.start() :])


def _masked(text: str) -> str:
    """The text with its math struck out, at its length; a full stop in it at its end stays."""
    return _MATH.sub(_struck_out, text)


def _struck_out(math: re.Match[str]) -> str:
    ends = re.search(r"\.\s*(?:\\\]|\$\$)\Z", math[0]) is not None
    return "x" * (len(math[0]) - 1 - ends) + "." * ends + ")"


def _concluded(text: str) -> str | None:
    """What the last sentence says, if it has a word that concludes, or says that something is its answer alone.

    Where it says nothing of the kind, and has no equation, one of the two before it may: "So there are 6. This holds
    for every n." A text that breaks off says nothing.
    """
    paragraph = text.strip().rsplit("\n\n", 1)[-1]
    if not paragraph.replace("**", "").endswith(_CLOSED):
        return None
    ends = [end.end() for end in _SENTENCE_END.finditer(_masked(paragraph))]
    bounds = [start for start in (0, *ends) if paragraph[start:].strip(" *\n")] + [len(paragraph)]
    for start, end in reversed(list(pairwise(bounds))[-_SENTENCES:]):
        if answer := _sentence_says(paragraph[start:end].strip()):
            return answer
        if "=" in paragraph[start:end] or _WITHDRAWN.match(paragraph[start:end]):
            return None
    return None


def _sentence_says(marked: str) -> str | None:
    sentence = marked.replace("**", "").strip()
    words = list(_CONCLUDES.finditer(_masked(sentence)))
    concluding = sentence[words[-1].end() :] if words else sentence
    if len(concluding) > _LONGEST or not sentence.endswith(_CLOSED):
        return None
    if words:
        bold = _BOLD.findall(marked)
        return _said(bold[0][0]) if len(bold) == 1 else _conclusion(concluding)
    if assigned := _ASSIGNED.fullmatch(sentence):
        return assigned[1]
    verbs = list(_IS.finditer(_masked(sentence)))
    return _conclusion(sentence) if verbs and _ALONE.fullmatch(_MATH.sub("0", sentence[verbs[-1].end() :])) else None


def _conclusion(sentence: str) -> str | None:
    sentence = _MINUS.sub("-", _POINTER.sub(" ", sentence))
    if needed := _NEEDED.match(sentence):
        return needed[1]
    verbs = list(_SAYS.finditer(_masked(sentence)))
    if _states_nothing(sentence, verbs[-1] if verbs else None):
        return None
    tail = sentence[verbs[-1].end() :] if verbs else sentence
    math = list(_MATH.finditer(tail))
    begun = tail.lstrip(": ")
    if verbs and not _MATH.match(begun) and (first := _NUMBER.match(begun)):
        return _whole(first, begun)
    if math:
        return _listed(tail if verbs else tail[math[-1].start() :])
    if _TERM.search(tail) and "=" not in tail:
        return None
    numbers = [found[0] for found in _NUMBER.finditer(tail)]
    if numbers and (len(numbers) == 1 or tail.lstrip().startswith(numbers[0])):
        return numbers[0]
    if "=" in tail and numbers and tail.rstrip(". ").endswith(numbers[-1]):
        return numbers[-1]
    everywhere = [found[0] for found in _NUMBER.finditer(sentence)]
    return everywhere[0] if len(everywhere) == 1 and not _MATH.search(sentence) else None


def _states_nothing(sentence: str, verb: re.Match[str] | None) -> bool:
    """Whether a sentence supposes, denies, compares, or says what is still to be done, and so has no answer."""
    plain = _masked(sentence)
    if _FAILS.search(plain):
        return True
    if verb is None:
        to_do = _TO_DO.match(plain)
        idle = to_do is not None and (to_do["supposed"] is not None or not _YIELDS.search(sentence))
        denied = _DENIED.search(plain)
        return idle or (denied is not None and not _COUNTED.search(plain, 0, denied.start()))
    return _NO_VALUE.match(plain, verb.end()) is not None or _OPEN.search(plain[: verb.start()]) is not None


def _whole(first: re.Match[str], text: str) -> str | None:
    """The whole of what a number begins: it alone, a list, a ratio, what a sum comes to; None for a part of a term."""
    behind = text[first.end() :]
    if _SPOILS.match(behind):
        return None
    if out_of := _OUT_OF.match(behind):
        return f"{first[0]}/{out_of[1]}"
    if _GOES_ON.match(behind):
        result = behind.rpartition("=")[2] if "=" in behind else text
        return without_full_stop(result) or None
    listed, end = [first[0]], 0
    while more := _AND_MORE.match(behind, end):
        listed.append(more[1])
        end = more.end()
    return ",".join(listed)


def _listed(text: str) -> str | None:
    """The pieces of math of a text that "and" or commas part, from the first on, without the names in front of them."""
    parts: list[str] = []
    end = 0
    for math in _MATH.finditer(text):
        if parts and not re.fullmatch(r"\s*(?:,|and|or|, and|, or)\s*", text[end : math.start()]):
            break
        content = next(group for group in math.groups() if group is not None).strip().rstrip(",")
        named = _NAMED.match(content)
        content = content[named.end() :] if named else content
        parts.append(
            without_full_stop(
                content.rpartition("=")[2]
                if content.count("=") > 1 or "\\text" in content.partition("=")[0]
                else content
            )
        )
        end = math.end()
    return ",".join(parts) or None
