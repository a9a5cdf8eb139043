"""The program that runs an answer and its tests: started by :mod:`.sandbox` in an interpreter of its own.

It knows nothing of this package, since nothing of it is to be seen where it runs. A JSON object on standard input
holds ``answer``, ``tests``, ``word`` and the limits; ``word`` is written to the file descriptor of the first argument
when the tests have passed, and only then.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import types

__all__ = ["main"]


def main() -> None:
    """Run the answer, then its tests, in one module that is not ``__main__``."""
    told = int(sys.argv[1])
    request = json.load(sys.stdin)
    for limit, value in request["limits"].items():
        resource.setrlimit(getattr(resource, limit), (value, value))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    module = types.ModuleType("answer")
    sys.modules["answer"] = module  # dataclasses and pickle look their module up
    for part in ("answer", "tests"):
        exec(compile(request[part], f"<{part}>", "exec"), module.__dict__)
    os.write(told, request["word"].encode())


if __name__ == "__main__":
    main()
