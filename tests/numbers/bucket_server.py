"""A bucket on this machine: the part of Google Cloud Storage's JSON API that TensorStore and gcsfs speak. Standard library."""

import base64
import email
import hashlib
import json
import os
import re
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock

BUCKET = "bucket"
_OBJECT = re.compile(r"/(?:download/)?storage/v1/b/([^/]+)/o/([^/]+)")
_LIST = re.compile(r"/(?:upload/)?storage/v1/b/([^/]+)/o")
_BUCKET = re.compile(r"/storage/v1/b/([^/]+)")
_MOVE = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/moveTo/o/([^/]+)")
_REWRITE = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/rewriteTo/b/([^/]+)/o/([^/]+)")


class Bucket(ThreadingHTTPServer):
    """Objects in memory by their names. `forbidden` names are answered with 403, `cut` ones end in the middle; all while it
    `is_away` with 404."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.generation = 0
        self.forbidden: set[str] = set()
        self.cut: set[str] = set()
        self.is_away = False
        self.uploads: dict[str, tuple[str, bytearray]] = {}
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """Nothing: clients go away in the middle of an answer."""

    def put(self, name: str, content: bytes) -> dict[str, Any]:
        """A new generation of an object."""
        with self.lock:
            self.generation += 1
            self.objects[name] = content, self.generation
        return self.about(name)

    def about(self, name: str) -> dict[str, Any]:
        """What the API says of an object."""
        content, generation = self.objects[name]
        place = f"{self.url}/download/storage/v1/b/{BUCKET}/o/{urllib.parse.quote(name, safe='')}"
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": BUCKET,
            "size": str(len(content)),
            "generation": str(generation),
            "metageneration": "1",
            "md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
            "updated": "2026-01-01T00:00:00.000Z",
            "timeCreated": "2026-01-01T00:00:00.000Z",
            "mediaLink": f"{place}?generation={generation}&alt=media",
        }

    def names(self, prefix: str = "") -> list[str]:
        """The names of the objects that begin so."""
        return sorted(name for name in self.objects if name.startswith(prefix))


@contextmanager
def bucket() -> Iterator[Bucket]:
    """A bucket `gs://bucket` for this process and its children, and no other."""
    server = Bucket()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    environment = {
        "STORAGE_EMULATOR_HOST": server.url,  # gcsfs
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # or it asks by gRPC what kind of bucket this is
        "FSSPEC_GCS_TOKEN": "anon",
        "FSSPEC_GS_TOKEN": "anon",
        "TENSORSTORE_GCS_HTTP_URL": server.url,
        "GCE_METADATA_ROOT": server.url.removeprefix("http://"),  # no credentials are sought beyond this machine
    }
    try:
        with mock.patch.dict(os.environ, environment):
            yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    def log_message(self, *_: Any) -> None:
        """Nothing: the test says what matters."""

    def parse_request(self) -> bool:
        """Nothing is there of a bucket that is away."""
        is_good = super().parse_request()
        if is_good and self.server.is_away:
            self._body()
            self._fail(404, "The specified bucket does not exist.")
            return False
        return is_good

    def do_GET(self) -> None:
        """Metadata, content, a range of it, a listing."""
        path, query = self._target()
        if (match := _OBJECT.fullmatch(path)) and match[1] == BUCKET:
            self._object(urllib.parse.unquote(match[2]), query)
        elif (match := _LIST.fullmatch(path)) and match[1] == BUCKET:
            self._list(query)
        elif (match := _BUCKET.fullmatch(path)) and match[1] == BUCKET:
            self._json({"kind": "storage#bucket", "name": BUCKET})
        else:
            self._fail(404, "The specified bucket does not exist.")

    def _object(self, name: str, query: Mapping[str, str]) -> None:
        if name in self.server.forbidden:
            self._fail(403, "does not have storage.objects.get access")
        elif name not in self.server.objects:
            self._fail(404, f"No such object: {BUCKET}/{name}")
        elif query.get("alt") == "media":
            content, generation = self.server.objects[name]
            headers = {"x-goog-generation": str(generation)}
            found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
            if not found:
                self._send(200, content, headers, cut=name in self.server.cut)
                return
            size = len(content)
            start = int(found[1]) if found[1] else max(0, size - int(found[2]))
            stop = min(size, int(found[2]) + 1) if found[1] and found[2] else size
            if start >= size:
                self._fail(416, "range")
                return
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
            self._send(206, content[start:stop], headers, cut=name in self.server.cut)
        else:
            self._json(self.server.about(name))

    def _list(self, query: Mapping[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        items, prefixes = [], {}
        for name in self.server.names(prefix):
            head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
            if name < query.get("startOffset", "") or ("endOffset" in query and name >= query["endOffset"]):
                continue
            if found:
                prefixes[prefix + head + delimiter] = None
            else:
                items.append(self.server.about(name))
        self._json({"kind": "storage#objects", "items": items, "prefixes": list(prefixes)})

    def do_POST(self) -> None:
        """An upload in one of its three ways, a copy, or several deletions at once."""
        path, query = self._target()
        if "upload_id" in query:
            self.do_PUT()
            return
        body = self._body()
        if path.startswith("/batch/"):
            self._batch(body)
        elif match := _MOVE.fullmatch(path):
            self._json(self.server.put(_named(match[3]), self.server.objects.pop(_named(match[2]))[0]))
        elif match := _REWRITE.fullmatch(path):
            self._json({"done": True, "resource": self.server.put(_named(match[4]), self.server.objects[_named(match[2])][0])})
        elif not ((match := _LIST.fullmatch(path)) and match[1] == BUCKET):
            self._fail(404, "The specified bucket does not exist.")
        elif query.get("uploadType") == "resumable":
            name = query.get("name") or json.loads(body)["name"]
            key = f"upload{len(self.server.uploads)}"
            self.server.uploads[key] = name, bytearray()
            self._send(200, b"", {"Location": f"{self.server.url}/upload/storage/v1/b/{BUCKET}/o?upload_id={key}"})
        elif query.get("uploadType") == "multipart":
            message = email.message_from_bytes(b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + body)
            about, content = message.get_payload()  # type: ignore[misc]
            self._store(json.loads(about.get_payload())["name"], content.get_payload(decode=True), query)
        else:
            self._store(query["name"], body, query)

    def do_PUT(self) -> None:
        """The next piece of a resumable upload."""
        _, query = self._target()
        name, so_far = self.server.uploads[query["upload_id"]]
        so_far += self._body()
        if self.headers.get("Content-Range", "").endswith("*"):
            self._send(308, b"", {"Range": f"bytes=0-{len(so_far) - 1}"})
        else:
            self._store(name, bytes(so_far), query)

    def _store(self, name: str, content: bytes, query: Mapping[str, str]) -> None:
        known = self.server.objects.get(name)
        if "ifGenerationMatch" in query and int(query["ifGenerationMatch"]) != (known[1] if known else 0):
            self._fail(412, "conditionNotMet")
        else:
            self._json(self.server.put(name, content))

    def do_DELETE(self) -> None:
        """One object."""
        match = _OBJECT.fullmatch(self._target()[0])
        there = match is not None and self.server.objects.pop(_named(match[2]), None) is not None
        self._send(204 if there else 404, b"")

    def _batch(self, body: bytes) -> None:
        message = email.message_from_bytes(b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + body)
        answers = []
        for part in message.get_payload():  # type: ignore[union-attr]
            match = re.search(r"DELETE \S*/b/[^/]+/o/([^\s?]+)", str(part.get_payload()))  # type: ignore[union-attr]
            there = match is not None and self.server.objects.pop(_named(match[1]), None) is not None
            status = "204 No Content" if there else "404 Not Found"
            answers.append(f"Content-Type: application/http\r\n\r\nHTTP/1.1 {status}\r\n\r\n")
        text = "".join(f"--b\r\n{answer}\r\n" for answer in answers) + "--b--"
        self._send(200, text.encode(), {"Content-Type": "multipart/mixed; boundary=b"})

    def _target(self) -> tuple[str, dict[str, str]]:
        parts = urllib.parse.urlsplit(self.path)
        return parts.path, dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _json(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _fail(self, status: int, reason: str) -> None:
        body = json.dumps({"error": {"code": status, "message": reason, "errors": [{"reason": reason}]}}).encode()
        self._send(status, body, {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] = {}, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True


def _named(quoted: str) -> str:
    return urllib.parse.unquote(quoted)
