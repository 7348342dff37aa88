"""A small Hugging Face hub on 127.0.0.1: commits, LFS files behind a redirect, Range, and mishaps on demand."""

import hashlib
import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import huggingface_hub.constants
import pyarrow
import pyarrow.parquet as parquet
import pytest

Files = dict[str, bytes]
Rows = list[dict[str, Any]]
AXG, REPO, TEST = ("super_glue", "axg"), "aps/super_glue", "axg/test-00000-of-00002.parquet"
_REPO = r"(?P<repo>[^/]+/[^/]+)"
_INFO = re.compile(rf"/api/datasets/{_REPO}/revision/(?P<revision>.+)")
_TREE = re.compile(rf"/api/datasets/{_REPO}/tree/(?P<revision>[^/]+)(/(?P<folder>.*))?")
_PATHS = re.compile(rf"/api/datasets/{_REPO}/paths-info/(?P<revision>.+)")
_FILE = re.compile(rf"/datasets/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_BLOB = re.compile(r"/blobs/(?P<sha>[0-9a-f]{64})")


@dataclass
class Repository:
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Files] = field(default_factory=dict)
    is_gated: bool = False


@dataclass
class Hub:
    """What the server has, what it does wrong, and what it was asked."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    url: str = ""
    is_down: bool = False
    cuts: list[int] = field(default_factory=list)
    """How many bytes the next answers with a file send before the connection breaks."""
    tampered: dict[bytes, bytes] = field(default_factory=dict)
    """What is sent instead of a file."""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and Range of every request."""

    def commit(self, repo: str, files: Files, branch: str = "main") -> str:
        """Put files on a branch; its commit."""
        repository = self.repositories.setdefault(repo, Repository())
        revision = hashlib.sha1(repr((repo, branch, sorted(files.items()))).encode()).hexdigest()
        repository.branches[branch] = revision
        repository.commits[revision] = files
        return revision

    def blob(self, sha: str) -> bytes:
        every = (data for repo in self.repositories.values() for files in repo.commits.values() for data in files.values())
        return next(data for data in every if hashlib.sha256(data).hexdigest() == sha)

    def downloads(self) -> list[str | None]:
        """The Range of each request for a file's bytes."""
        return [wanted for method, path, wanted in self.asked if method == "GET" and _BLOB.fullmatch(path)]


@contextmanager
def running(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve until the end; the hub's library asks this server, and has its cache in `folder`."""
    constants = huggingface_hub.constants
    monkeypatch.setenv("T0JAX_CACHE", str(folder / "memory"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    for name in ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setattr(constants, name, True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the library waits longer before each retry
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def file(rows: Rows, **labels: list[str]) -> bytes:
    """A Parquet file as the hub has it, with the names of its classes."""
    features = {name: {"names": names, "_type": "ClassLabel"} for name, names in labels.items()}
    table = pyarrow.Table.from_pylist(rows)
    if labels:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    written = io.BytesIO()
    parquet.write_table(table, written, row_group_size=100)
    return written.getvalue()


def made(count: int) -> Rows:
    """Rows of SuperGLUE's axg."""
    return [{"premise": f"P{n} " + "x" * 30, "hypothesis": f"H{n}", "idx": n, "label": n % 2} for n in range(count)]


def axg(rows: Rows) -> Files:
    """Its repository: one split, of two files."""
    names = ["entailment", "not_entailment"]
    parts = [file(part, label=names) for part in (rows[:200], rows[200:])]
    return {"README.md": b"---", TEST: parts[0], "axg/test-00001-of-00002.parquet": parts[1]}


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    server: ThreadingHTTPServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        if self.hub.is_down:
            return self._send(503, b"")
        if match := _BLOB.fullmatch(path):
            return self._blob(match["sha"])
        for pattern, answer in ((_INFO, self._info), (_TREE, self._tree), (_PATHS, self._paths), (_FILE, self._file)):
            if match := pattern.fullmatch(path):
                return self._of_repository(match, answer, body)
        return self._send(404, b"")

    def _of_repository(self, match: re.Match[str], answer: Any, body: bytes) -> None:
        repository = self.hub.repositories.get(match["repo"])
        if repository is None:
            return self._send(401, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        if repository.is_gated and answer == self._file:
            return self._send(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        revision = unquote(match["revision"])
        revision = repository.branches.get(revision, revision)
        if revision not in repository.commits:
            return self._send(404, b"", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        files = repository.commits[revision]
        return answer(match, revision, files, body)

    def _info(self, match: re.Match[str], revision: str, files: Files, body: bytes) -> None:
        siblings = [{"rfilename": path} for path in files]
        self._json({"id": match["repo"], "sha": revision, "siblings": siblings, "private": False, "tags": []})

    def _tree(self, match: re.Match[str], revision: str, files: Files, body: bytes) -> None:
        folder = f"{unquote(match['folder'])}/" if match["folder"] else ""
        self._json([_entry(path, data) for path, data in files.items() if path.startswith(folder)])

    def _paths(self, match: re.Match[str], revision: str, files: Files, body: bytes) -> None:
        asked = json.loads(body)["paths"]
        self._json([_entry(path, files[path]) for path in ([asked] if isinstance(asked, str) else asked) if path in files])

    def _file(self, match: re.Match[str], revision: str, files: Files, body: bytes) -> None:
        path = unquote(match["path"])
        commit = {"X-Repo-Commit": revision}
        if path not in files:
            return self._send(404, b"", commit | {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
        data = files[path]
        linked = {"X-Linked-Etag": f'"{_sha(data)}"', "X-Linked-Size": str(len(data))}
        # Another host, as the hub's storage is: huggingface_hub reads size and hash from this answer, not from the next.
        return self._send(
            302, b"", commit | linked | {"Location": f"http://localhost:{self.server.server_port}/blobs/{_sha(data)}"}
        )

    def _blob(self, sha: str) -> None:
        data = self.hub.blob(sha)
        data = self.hub.tampered.get(data, data)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        headers = {"ETag": f'"{sha}"', "Accept-Ranges": "bytes"}
        if wanted is None:
            return self._send(200, data, headers, is_file=True)
        first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return self._send(206, data[first : last + 1], headers, is_file=True)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, is_file: bool = False) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if is_file and self.hub.cuts:
            self.wfile.write(body[: self.hub.cuts.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(body)


def _entry(path: str, data: bytes) -> dict[str, Any]:
    oid = hashlib.sha1(data).hexdigest()
    entry = {"type": "file", "path": path, "size": len(data), "oid": oid}
    is_large = path.endswith(".parquet")
    return entry | ({"lfs": {"oid": _sha(data), "size": len(data), "pointerSize": 130}} if is_large else {})
