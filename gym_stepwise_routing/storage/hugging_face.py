"""Folders on the Hugging Face hub: references to them, pulling into its cache, pushing.

What goes over the wire is huggingface_hub's affair, and so are its settings: ``HF_TOKEN``, ``HF_ENDPOINT``, ``HF_HOME``
(where the cache is) and ``HF_HUB_OFFLINE``. What is in the cache is found without a network.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from gym_stepwise_routing.errors import HubError
from gym_stepwise_routing.types import VERSION

__all__ = ["REPOSITORY", "SCHEME", "Kind", "Reference", "is_reference", "pull", "push", "seal", "unloadable"]

SCHEME = "hf://"
REPOSITORY = "https://github.com/gym-stepwise-routing/gym_stepwise_routing"
"""Where cards say that this package is."""
Kind = Literal["dataset", "model"]
_LET_IN = "allowed: with HF_TOKEN of an account that its owners have let in"
_NAME = r"[A-Za-z0-9][\w.-]*"
_FORM = re.compile(
    rf"(?:hf://)?(?P<repo>{_NAME}/{_NAME})(?:@(?P<revision>[^\s@#]+))?(?:#(?P<content>[0-9a-f]{{8,64}}))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """``hf://org/name[@revision][#content]``: a repository, and what is expected of it.

    Attributes:
        repo: owner and name, such as ``org/name``.
        revision: branch, tag or commit; None: the default branch.
        content: first 8 to 64 hexadecimal digits of the content hash that is expected, '' for any.
    """

    repo: str
    revision: str | None = None
    content: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference; ``hf://`` may be left out.

        Raises:
            ValueError: it is none; the message says what one looks like.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(
                f"reference={text!r}; allowed: hf://owner/name[@revision][#content hash, 8 to 64 hex digits]"
            )
        return cls(found["repo"], found["revision"], found["content"] or "")

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"@{self.revision}"
        return f"{SCHEME}{self.repo}{revision}" + (f"#{self.content}" if self.content else "")

    def check(self, content: str) -> None:
        """Compare a content hash with the one that is expected.

        Raises:
            HubError: it is another: the revision was changed.
        """
        if not content.startswith(self.content):
            raise HubError(
                f"{self}: the content hash there is {content[: max(12, len(self.content))]}; allowed: {self.content}. "
                "The revision was changed since the reference was written"
            )


def is_reference(value: object) -> bool:
    """Whether a value is a text that begins with ``hf://``."""
    return isinstance(value, str) and value.startswith(SCHEME)


def pull(reference: Reference, kind: Kind, files: Sequence[str], *, needed: Iterable[str] = ()) -> Path:
    """The files of a repository in the hub's cache, downloaded where they are not there yet.

    Without a network, what is in the cache is taken; a branch or tag is then the commit that it was when last asked.

    Args:
        reference: repository and revision.
        kind: kind of the repository.
        files: names of the files to take; others are left where they are.
        needed: those of them without which it is not the folder that is meant.

    Returns:
        The folder of that commit; its name is the commit. Nothing may be written there.

    Raises:
        HubError: no such repository or revision, no access, nothing in the cache and no network, or a needed file that
            is not there.
        ModuleNotFoundError: huggingface_hub is not installed.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import tqdm

    class Silent(tqdm):
        """No bar: banks are small, and an error is one line."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **(kwargs | {"disable": True}))  # type: ignore[no-untyped-call]

    with _plainly(reference, kind):
        folder = Path(
            snapshot_download(
                reference.repo,
                repo_type=kind,
                revision=reference.revision,
                allow_patterns=list(files),
                tqdm_class=Silent,
                **_sender(),
            )
        )
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise HubError(f"{reference}: the repository has no {', '.join(missing)}; allowed: one that `push` wrote")
    return folder


def push(
    files: Mapping[str, Path | bytes], reference: Reference, kind: Kind, *, message: str, private: bool = False
) -> str:
    """Put files into a repository, in one commit; the repository is made where it is missing.

    Args:
        files: what they are called there, and where they are, or their bytes.
        reference: repository; a revision must be a branch that exists.
        kind: kind of the repository.
        message: of the commit.
        private: of a repository that is made.

    Returns:
        The commit.

    Raises:
        HubError: no access, no such branch, or no network.
        ModuleNotFoundError: huggingface_hub is not installed.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    with _plainly(reference, kind):
        api = HfApi(**_sender())
        api.create_repo(reference.repo, repo_type=kind, private=private, exist_ok=True)
        done = api.create_commit(
            reference.repo,
            [CommitOperationAdd(path_in_repo=name, path_or_fileobj=data) for name, data in files.items()],
            commit_message=message,
            repo_type=kind,
            revision=reference.revision,
        )
    return str(done.oid)


def seal(folder: Path, files: Iterable[str]) -> str:
    """Content hash of files: over their names and bytes, 64 hexadecimal digits, whatever their order.

    Raises:
        OSError: a file cannot be read.
    """
    lines = (f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}" for name in sorted(files))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def unloadable(model: object, error: OSError) -> str:
    """In one line, why transformers could not load a model; it wraps errors of the hub in texts of several lines."""
    from huggingface_hub.errors import GatedRepoError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, GatedRepoError):
            return f"model={str(model)!r} is gated, and access was not granted (HTTP {_status(cause)}); {_LET_IN}"
        cause = cause.__cause__ or cause.__context__
    told = " ".join(str(error).split())
    return f"model={str(model)!r} cannot be loaded; allowed: a model folder or a hub name ({told})"


def _sender() -> dict[str, Any]:
    return {"library_name": "gym-stepwise-routing", "library_version": VERSION}


@contextmanager
def _plainly(reference: Reference, kind: Kind) -> Iterator[None]:
    """Tell errors of huggingface_hub in one line each."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise HubError(
            f"{reference} is gated, and access was not granted (HTTP {_status(error)}); {_LET_IN}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubError(
            f"{reference}: no such {kind} repository, or a private one (HTTP {_status(error)}); allowed: one that "
            "exists, with HF_TOKEN where it is private"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(f"{reference}: the repository has no such revision; allowed: a branch, tag or commit") from error
    except errors.HfHubHTTPError as error:
        hint = "; allowed: with HF_TOKEN of an account that may" if _status(error) in (401, 403) else ""
        raise HubError(f"{reference}: the hub answered HTTP {_status(error)}{hint}") from error
    except errors.LocalEntryNotFoundError as error:
        raise HubError(f"{reference} is not in the cache, and the hub cannot be reached") from error
    except (errors.HTTPError, ConnectionError) as error:  # type: ignore[attr-defined]  # no connection, no answer
        raise HubError(f"{reference}: the hub cannot be reached ({type(error).__name__})") from error


def _status(error: Any) -> int:
    return int(error.response.status_code)
