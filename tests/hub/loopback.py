"""A local Hub: an HTTP server with the part of the Hub's API that publishing and loading use.

Requests: create, validate-yaml, model info, tree, preupload, LFS batch, upload (in one piece or in parts) and verify,
commit, resolve. As on the Hub, files become visible only by a commit. `Fault` injects faults. Xet is not supported:
clients must run with HF_HUB_DISABLE_XET=1 and then use LFS.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_loopbackWriterToken0123456789"
# Suffixes of files in our folders that the Hub's default .gitattributes stores in LFS.
LFS_ENDINGS = (".safetensors", ".png")


@dataclass
class Fault:
    """A fault of requests.

    Attributes:
        method: HTTP method of the affected requests.
        path: regular expression to find in their path.
        status: status of the response; None cuts the connection instead.
        times: number of affected requests.
        late: whether the request is executed and only the response is lost.
        skip: number of requests to let pass first.
    """

    method: str
    path: str
    status: int | None = None
    times: int = 1
    late: bool = False
    skip: int = 0

    def hits(self, method: str, path: str) -> bool:
        """Whether the fault affects this request; if so, counts it."""
        if method != self.method or not re.search(self.path, path) or self.times <= 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class Commit:
    """A state of a repository: contents by file name, and the names of files in LFS."""

    oid: str
    message: str
    files: dict[str, bytes]
    lfs: frozenset[str] = frozenset()


@dataclass
class Repository:
    """A repository with its commits, oldest first."""

    private: bool
    commits: list[Commit]

    @property
    def head(self) -> Commit:
        """The visible state."""
        return self.commits[-1]


@dataclass
class Answer:
    """An HTTP response."""

    status: int = 200
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    """A response in JSON."""
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


def error(status: int, code: str, message: str) -> Answer:
    """An error response in the Hub's format."""
    return as_json({"error": message}, status, **{"X-Error-Code": code, "X-Error-Message": message})


class LoopbackHub:
    """The server as a context manager. Its state is in `repositories`, `objects` (LFS, by sha256) and `requests`.

    Args:
        multipart_over: files larger than this many bytes are uploaded in parts of this size.
    """

    def __init__(self, multipart_over: int | None = None) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, int | None]] = []
        self.multipart_over = multipart_over
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    def __enter__(self) -> LoopbackHub:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, name: str, folder: Path, *, private: bool = False) -> None:
        """Puts a folder into a repository without HTTP."""
        self._create(name, private)
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        self._commit(name, "Add", files, frozenset(file for file in files if file.endswith(LFS_ENDINGS)))

    def visible(self, name: str) -> set[str]:
        """The visible files of a repository; empty if it does not exist."""
        repository = self.repositories.get(name)
        return set() if repository is None else set(repository.head.files) - {".gitattributes"}

    def count(self, method: str, path: str, status: int = 200) -> int:
        """Number of requests with this response status."""
        return sum(
            asked == method and bool(re.search(path, where)) and answered == status
            for asked, where, answered in self.requests
        )

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        """The response to a request without faults."""
        with self._lock:
            writes = method in ("POST", "PUT") and not path.startswith("/lfs/")
            if writes and headers.get("Authorization") != f"Bearer {TOKEN}":
                return error(401, "", "Invalid username or password.")
            for pattern, methods, respond in self._routes():
                match = re.fullmatch(pattern, path)
                if match and method in methods:
                    name = match.groupdict().get("name")
                    if name is not None and name not in self.repositories:
                        return error(404, "RepoNotFound", "Repository not found")
                    known = headers.get("Authorization") == f"Bearer {TOKEN}"
                    if name is not None and self.repositories[name].private and not known:
                        return error(401, "RepoNotFound", "Repository not found")
                    return respond(match, headers, body)
            return error(404, "EntryNotFound", f"This Hub does not know {method} {path}")

    def _routes(self) -> list[tuple[str, str, Callable[[re.Match, Any, bytes], Answer]]]:
        model = r"/api/models/(?P<name>[^/]+/[^/]+)"
        return [
            (r"/api/repos/create", "POST", self._answer_create),
            (r"/api/validate-yaml", "POST", self._answer_validate),
            (rf"{model}(/revision/(?P<revision>[^/]+))?", "GET", self._answer_info),
            (rf"{model}/tree/(?P<revision>[^/]+)(/(?P<path>.+))?", "GET", self._answer_tree),
            (rf"{model}/preupload/(?P<revision>[^/]+)", "POST", self._answer_preupload),
            (rf"{model}/commit/(?P<revision>[^/]+)", "POST", self._answer_commit),
            (r"/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "POST", self._answer_batch),
            (r"/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/verify", "POST", self._answer_verify),
            (r"/lfs/(?P<oid>[0-9a-f]{64})", "PUT", self._answer_upload),
            (r"/lfs/(?P<oid>[0-9a-f]{64})/(?P<part>\d+)", "PUT", self._answer_part),
            (r"/lfs/(?P<oid>[0-9a-f]{64})/complete", "POST", self._answer_complete),
            (r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "GET HEAD", self._answer_file),
        ]

    def _create(self, name: str, private: bool) -> None:
        attributes = "".join(f"*{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in LFS_ENDINGS).encode()
        self.repositories[name] = Repository(private, [])
        self._commit(name, "initial commit", {".gitattributes": attributes}, frozenset())

    def _commit(self, name: str, message: str, files: dict[str, bytes], lfs: frozenset[str]) -> Commit:
        commits = self.repositories[name].commits
        kept = {} if not commits else commits[-1].files
        through_lfs = frozenset() if not commits else commits[-1].lfs
        oid = hashlib.sha1(f"{name} {len(commits)} {message}".encode()).hexdigest()
        commits.append(Commit(oid, message, {**kept, **files}, through_lfs | lfs))
        return commits[-1]

    def _revision(self, name: str, revision: str | None) -> Commit | None:
        repository = self.repositories[name]
        if revision in (None, "main"):
            return repository.head
        return next((commit for commit in repository.commits if commit.oid == revision), None)

    def _answer_create(self, match: re.Match, headers: Any, body: bytes) -> Answer:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.repositories:
            return as_json({"error": "You already created this model repo", "url": f"{self.url}/{name}"}, 409)
        self._create(name, asked.get("visibility") == "private" or bool(asked.get("private")))
        return as_json({"url": f"{self.url}/{name}", "name": name, "id": name})

    def _answer_validate(self, match: re.Match, headers: Any, body: bytes) -> Answer:
        content = json.loads(body)["content"]
        try:
            metadata = yaml.safe_load(content.split("---")[1]) if content.startswith("---") else {}
        except yaml.YAMLError as problem:
            return as_json({"errors": [{"message": str(problem)}], "warnings": []}, 400)
        if not isinstance(metadata, dict):
            return as_json({"errors": [{"message": "metadata must be a mapping"}], "warnings": []}, 400)
        return as_json({"errors": [], "warnings": []})

    def _answer_info(self, match: re.Match, headers: Any, body: bytes) -> Answer:
        name = match["name"]
        commit = self._revision(name, match["revision"])
        if commit is None:
            return error(404, "RevisionNotFound", "Invalid rev id")
        siblings = [{"rfilename": file} for file in sorted(commit.files)]
        private = self.repositories[name].private
        return as_json({"id": name, "sha": commit.oid, "private": private, "tags": [], "siblings": siblings})

    def _answer_tree(self, match: re.Match, headers: Any, body: bytes) -> Answer:
        commit = self._revision(match["name"], match["revision"])
        if commit is None:
            return error(404, "RevisionNotFound", "Invalid rev id")
        if match["path"]:
            return error(404, "EntryNotFound", "No such folder")
        return as_json([self._entry(commit, file) for file in sorted(commit.files)])

    @staticmethod
    def _entry(commit: Commit, file: str) -> dict[str, Any]:
        content = commit.files[file]
        entry = {"type": "file", "path": file, "size": len(content), "oid": git_hash(content)}
        if file in commit.lfs:
            entry["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": 130}
        return entry

    def _answer_preupload(self, match: re.Match, headers: Any, body: bytes) -> Answer:
        head = self.repositories[match["name"]].head
        files = []
        for asked in json.loads(body)["files"]:
            path = asked["path"]
            reply = {"path": path, "uploadMode": "regular", "shouldIgnore": False}
            if path.endswith(LFS_ENDINGS):
                reply["uploadMode"] = "lfs"
            if path in head.files:
                content = head.files[path]
                reply["oid"] = sha256(content) if path in head.lfs else git_hash(content)
            files.append(reply)
        return as_json({"files": files})

    def _answer_batch(self, match: re.Match, headers: Any, body: bytes) -> Answer:
        objects = []
        for asked in json.loads(body)["objects"]:
            reply = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.objects:
                place = f"{self.url}/lfs/{asked['oid']}"
                upload: dict[str, Any] = {"href": place}
                if self.multipart_over is not None and asked["size"] > self.multipart_over:
                    number = -(-asked["size"] // self.multipart_over)
                    parts = {f"{part:05d}": f"{place}/{part}" for part in range(1, number + 1)}
                    upload = {"href": f"{place}/complete", "header": {"chunk_size": str(self.multipart_over), **parts}}
                verify = {"href": f"{self.url}/{match['name']}.git/info/lfs/objects/verify"}
                reply["actions"] = {"upload": upload, "verify": verify}
            objects.append(reply)
        return as_json({"transfer": "basic", "objects": objects})

    def _answer_upload(self, match: re.Match, headers: Any, body: bytes) -> Answer:
        return self._store(match["oid"], body)

    def _answer_part(self, match: re.Match, headers: Any, body: bytes) -> Answer:
        self.parts[match["oid"], int(match["part"])] = body
        return Answer(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    def _answer_complete(self, match: re.Match, headers: Any, body: bytes) -> Answer:
        numbers = [part["partNumber"] for part in json.loads(body)["parts"]]
        return self._store(match["oid"], b"".join(self.parts[match["oid"], number] for number in numbers))

    def _store(self, oid: str, content: bytes) -> Answer:
        if sha256(content) != oid:
            return error(400, "", "The content is not what was announced")
        self.objects[oid] = content
        return as_json({})

    def _answer_verify(self, match: re.Match, headers: Any, body: bytes) -> Answer:
        asked = json.loads(body)
        if len(self.objects.get(asked["oid"], b"")) != asked["size"]:
            return error(404, "", "The object has not arrived")
        return as_json({})

    def _answer_commit(self, match: re.Match, headers: Any, body: bytes) -> Answer:
        name = match["name"]
        head = self.repositories[name].head
        files, lfs = dict(head.files), set(head.lfs)
        message = ""
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
                if value.get("parentCommit") not in (None, head.oid):
                    return error(412, "", "A commit has happened since. Please refresh and try again.")
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
                lfs.discard(value["path"])
            elif entry["key"] == "lfsFile":
                if value["oid"] not in self.objects:
                    return error(400, "", f"{value['path']} points to a file that was not uploaded")
                files[value["path"]] = self.objects[value["oid"]]
                lfs.add(value["path"])
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
                lfs.discard(value["path"])
            else:
                return error(400, "", f"Unknown operation {entry['key']}")
        oid = hashlib.sha1(head.oid.encode() + body).hexdigest()
        self.repositories[name].commits.append(Commit(oid, message, files, frozenset(lfs)))
        return as_json({"success": True, "commitOid": oid, "commitUrl": f"{self.url}/{name}/commit/{oid}"})

    def _answer_file(self, match: re.Match, headers: Any, body: bytes) -> Answer:
        commit = self._revision(match["name"], match["revision"])
        if commit is None:
            return error(404, "RevisionNotFound", "Invalid rev id")
        content = commit.files.get(match["path"])
        if content is None:
            missing = error(404, "EntryNotFound", "Entry not found")
            missing.headers["X-Repo-Commit"] = commit.oid
            return missing
        through_lfs = match["path"] in commit.lfs
        etag = sha256(content) if through_lfs else git_hash(content)
        linked = {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))} if through_lfs else {}
        return Answer(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": commit.oid, **linked})


def sha256(content: bytes) -> str:
    """The name of a file in LFS."""
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes) -> str:
    """The name of a file in git."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _handler(hub: LoopbackHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for the acknowledgement of its headers

        def _respond(self) -> None:
            path = unquote(urlsplit(self.path).path)
            fault = next((fault for fault in hub.faults if fault.hits(self.command, path)), None)
            if fault is not None and fault.status is None and not fault.late:
                # In the middle of an upload: half of the body was received.
                self.rfile.read(int(self.headers.get("Content-Length") or 0) // 2)
                self._cut(path)
                return
            body = self._body()
            if fault is not None and not fault.late:
                # A bad server repeats the request's headers in its response; the client must not print them.
                message = f"injected fault; you sent {self.headers.get('Authorization')}"
                answer = as_json({"error": message}, fault.status, **{"X-Error-Message": message})
            else:
                answer = hub.answer(self.command, path, self.headers, body)
            if fault is not None and fault.late:
                self._cut(path)
                return
            hub.requests.append((self.command, path, answer.status))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.content)

        do_GET = do_HEAD = do_POST = do_PUT = _respond

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def _cut(self, path: str) -> None:
            hub.requests.append((self.command, path, None))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *arguments: Any) -> None:
            """Prints nothing: requests are in `hub.requests`."""

    return Handler
