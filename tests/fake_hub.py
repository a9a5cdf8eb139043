"""A fake of the Hugging Face hub on loopback, after its documented API, as far as huggingface_hub asks it here.

Spoken: ``POST /api/repos/create``; ``GET /api/{kind}/{repo}[/revision/{revision}]`` and ``/tree/{revision}``;
``GET|HEAD /{kind}/{repo}/resolve/{revision}/{file}`` with the headers of etag and commit; ``POST .../preupload``;
``POST /{kind}/{repo}.git/info/lfs/objects/batch`` and the upload that it names; ``POST .../commit``. Errors carry
``X-Error-Code``. Parquet and npz files go by LFS, as on the real one; there is no Xet.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Files = dict[str, bytes]


class FakeHub:
    """Repositories in memory, by ``models/owner/name`` or ``datasets/owner/name``."""

    def __init__(self) -> None:
        self.commits: dict[str, Files] = {}
        self.refs: dict[str, dict[str, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.gated: dict[str, int] = {}
        self.requests: list[tuple[str, str]] = []
        outer = self

        class Handler(_Handler):
            hub = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def commit(self, repo: str, files: Files, branch: str = "main") -> str:
        """Make files the content of a branch."""
        listed = repr(sorted((name, hashlib.sha1(data).hexdigest()) for name, data in files.items()))
        commit = hashlib.sha1(f"{repo} {listed}".encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.refs.setdefault(repo, {})[branch] = commit
        return commit

    def files(self, repo: str, branch: str = "main") -> Files:
        """What a branch holds."""
        return self.commits[self.refs[repo][branch]]

    def close(self) -> None:
        """Be a hub that cannot be reached."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self, status: int, content: Any = b"", **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, {"error": code}, X_Error_Code=code, X_Error_Message=code)

    def _commit_of(self, repo: str, revision: str) -> str | None:
        """The commit; None where an error was answered."""
        refs = self.hub.refs.get(repo)
        commit = (refs or {}).get(revision) or (revision if revision in self.hub.commits else None)
        if refs is None:
            self._refuse(401 if "Authorization" not in self.headers else 404, "RepoNotFound")
        elif commit is None:
            self._refuse(404, "RevisionNotFound")
        return commit

    def do_GET(self) -> None:
        self.hub.requests.append((self.command, self.path))
        path = self.path.partition("?")[0]
        if found := re.fullmatch(r"/api/(\w+/[\w.-]+/[\w.-]+)(?:/(revision|tree)/([^/]+))?", path):
            repo, what, revision = found.groups()
            if (commit := self._commit_of(repo, revision or "main")) is None:
                return
            if what != "tree":
                siblings = [{"rfilename": name} for name in self.hub.commits[commit]]
                self._answer(200, {"id": repo.partition("/")[2], "sha": commit, "siblings": siblings})
                return
            self._answer(200, [_entry(name, data) for name, data in self.hub.commits[commit].items()])
        elif found := re.fullmatch(r"/(?:(datasets)/)?([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", path):
            repo, revision, name = f"{found[1] or 'models'}/{found[2]}", found[3], found[4]
            if repo in self.hub.gated:  # its description is public, its files are not
                self._refuse(self.hub.gated[repo], "GatedRepo")
                return
            if (commit := self._commit_of(repo, revision)) is None:
                return
            data = self.hub.commits[commit].get(name)
            if data is None:
                self._refuse(404, "EntryNotFound")
                return
            self._answer(200, data, ETag=f'"{_etag(name, data)}"', X_Repo_Commit=commit)
        else:
            self._refuse(404, "NotFound")

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.blobs[hashlib.sha256(data).hexdigest()] = data
        self._answer(200)

    def do_POST(self) -> None:
        self.hub.requests.append((self.command, self.path))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.partition("?")[0]
        if self.headers.get("Authorization") != "Bearer hf_fake":
            self._answer(401, {"error": "Invalid username or password."})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['type']}s/{asked['organization']}/{asked['name']}"
            if repo in self.hub.refs:
                self._answer(409, {"error": "You already created this repo", "url": f"{self.hub.url}/{repo}"})
                return
            self.hub.commit(repo, {})
            self._answer(200, {"url": f"{self.hub.url}/{repo.removeprefix('models/')}"})
        elif path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": objects})
        elif found := re.fullmatch(r"/api/(\w+/[\w.-]+/[\w.-]+)/(preupload|commit)/([^/]+)", path):
            repo, what, branch = found.groups()
            if self._commit_of(repo, branch) is None:
                return
            if what == "preupload":
                names = [one["path"] for one in json.loads(body)["files"]]
                modes = [
                    {"path": n, "uploadMode": "lfs" if _large(n) else "regular", "shouldIgnore": False} for n in names
                ]
                self._answer(200, {"files": modes})
                return
            files = dict(self.hub.files(repo, branch))
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = self.hub.blobs[value["oid"]]
            commit = self.hub.commit(repo, files, branch)
            url = f"{self.hub.url}/{repo}/commit/{commit}"
            self._answer(200, {"success": True, "commitOid": commit, "commitUrl": url})
        else:
            self._refuse(404, "NotFound")


def _large(name: str) -> bool:
    return name.endswith((".parquet", ".npz"))


def _etag(name: str, data: bytes) -> str:
    blob = b"blob %d\0" % len(data)
    return hashlib.sha256(data).hexdigest() if _large(name) else hashlib.sha1(blob + data).hexdigest()


def _entry(name: str, data: bytes) -> dict[str, Any]:
    oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    lfs = {"oid": _etag(name, data), "size": len(data), "pointerSize": 130}
    return {"type": "file", "path": name, "size": len(data), "oid": oid} | ({"lfs": lfs} if _large(name) else {})
