"""A double of the Hugging Face Hub on loopback: in memory, with faults on request.

    with HubServer() as hub:
        subprocess.run(..., env=os.environ | hub.environment(home))  # a process of its own reads the variables in time
        hub.fail("drop", "POST .*/commit/")                          # the next commit loses its connection

It speaks what huggingface_hub 2.x uses: whoami; create, delete, info and list of repositories; branches and tags;
preupload, LFS with verification, commits; tree, paths-info, resolve with ETag and ranges. No xet, no discussions.
"""

import base64
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

LFS_SUFFIXES = (".safetensors", ".parquet", ".png", ".jpg", ".mp4", ".wav")
LFS_SIZE = 10 * 2**20
TYPES = {"models": "model", "datasets": "dataset", "spaces": "space"}
REPO = r"(?P<repo>[\w.\-]+/[\w.\-]+)"
API = rf"/api/(?P<kind>models|datasets|spaces)/{REPO}"
PREFIX = rf"/((?P<kind>datasets|spaces)/)?{REPO}"
DATE = "2025-01-01T00:00:00.000Z"
FAULTS = ("drop", "lose", "status", "slow", "corrupt", "truncate")
"""Instead of being served, a request loses its connection (drop), is served and loses its answer (lose), gets another
status (status) or comes late (slow); the bytes of a download or an upload change (corrupt), or its end is missing
(truncate)."""


@dataclass
class Fault:
    kind: str
    pattern: str
    """Of "METHOD /path", from its beginning."""
    times: int = 1
    status: int = 503
    message: str = ""
    seconds: float = 0.0


class Refused(Exception):
    """An answer that is an error; `code` is the Hub's X-Error-Code."""

    def __init__(self, status, code="", message="", headers=None, body=None):
        super().__init__(message)
        self.status, self.headers = status, {"X-Error-Code": code, "X-Error-Message": message} | (headers or {})
        self.body = body or {"error": message}


class Blob:
    def __init__(self, data, lfs=False):
        self.data, self.lfs = data, lfs
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        self.etag = self.sha256 if lfs else self.oid

    def describe(self, path):
        large = {"oid": self.sha256, "size": len(self.data), "pointerSize": 134}
        entry = {"type": "file", "oid": self.oid, "size": len(self.data), "path": path}
        return entry | ({"lfs": large} if self.lfs else {})


@dataclass
class Commit:
    oid: str
    title: str
    files: dict[str, Blob]


@dataclass
class Repo:
    kind: str
    id: str
    private: bool
    sdk: str | None = None
    commits: list[Commit] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self.commit("main", {".gitattributes": Blob(b"*.safetensors filter=lfs\n")}, "initial commit")

    def commit(self, branch, files, title):
        oid = hashlib.sha1(repr((self.kind, self.id, len(self.commits), title)).encode()).hexdigest()
        self.commits.append(Commit(oid, title, files))
        self.refs[branch] = oid
        return oid

    def at(self, revision):
        oid = self.refs.get(revision, revision)
        for commit in self.commits:
            if commit.oid == oid:
                return commit
        raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")


class HubServer:
    """`repos`, `requests` ("METHOD /path") and `unknown` (those without a route) are there to be asserted on."""

    def __init__(self, user="tester", token="hf_" + "t0ken" * 7):
        self.user, self.token = user, token
        self.repos, self.blobs, self.requests, self.unknown, self.faults = {}, {}, [], [], []
        self.lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()

    def environment(self, home):
        """Variables of a process that uses this Hub; they count only before huggingface_hub is imported."""
        flags = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        here = {"HF_ENDPOINT": self.url, "HF_TOKEN": self.token, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
        return flags | here | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    def fail(self, kind, pattern, **options):
        """Let the next requests that match fail; options as the fields of `Fault`."""
        assert kind in FAULTS
        self.faults.append(Fault(kind, pattern, **options))

    def files(self, repo_id, kind="model", revision="main"):
        """Path -> bytes, without what the Hub itself puts there."""
        files = self.repos[kind, repo_id].at(revision).files
        return {path: blob.data for path, blob in files.items() if path != ".gitattributes"}

    def fault_of(self, request):
        with self.lock:
            for fault in self.faults:
                if fault.times and re.match(fault.pattern, request):
                    fault.times -= 1
                    return fault
        return Fault("none", "")


ROUTES = []


def route(methods, pattern):
    def add(function):
        ROUTES.append((methods.split("|"), re.compile(pattern), function))
        return function

    return add


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub = None

    def log_message(self, *arguments):
        pass

    def answer(self):
        self.raw = self._read_body()
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        request = f"{self.command} {url.path}"
        self.hub.requests.append(request)
        self.fault = self.hub.fault_of(request)
        if self.fault.kind == "drop":
            return self._hang_up()
        time.sleep(self.fault.seconds)
        if self.fault.kind == "corrupt":
            self.raw = self.raw[:-1] + bytes([self.raw[-1] ^ 255]) if self.raw else b""
        status, body, headers = self._serve(url.path)
        if self.fault.kind == "lose":
            return self._hang_up()
        self._send(status, body, headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def _serve(self, path):
        try:
            if self.fault.kind == "status":
                raise Refused(self.fault.status, "", self.fault.message, body=b"<html>a proxy's own page</html>")
            for methods, pattern, function in ROUTES:
                if self.command in methods and (match := pattern.fullmatch(path)):
                    named = {name: value and unquote(value) for name, value in match.groupdict().items()}
                    with self.hub.lock:
                        result = function(self, **named)
                    return result if isinstance(result, tuple) else (200, result, {})
            self.hub.unknown.append(f"{self.command} {path}")
            raise Refused(404, "", f"no route for {self.command} {path}")
        except Refused as refused:
            return refused.status, refused.body, refused.headers

    def _read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, status, body, headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        if self.fault.kind == "corrupt" and self.command == "GET":
            body = body[:-1] + bytes([body[-1] ^ 255])
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.fault.kind == "truncate":
            self.wfile.write(body[: len(body) // 2])
            return self._hang_up()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _hang_up(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(2)

    def _json(self):
        return json.loads(self.raw or b"{}")

    def _user(self, needed=True):
        if self.headers.get("Authorization", "").removeprefix("Bearer ") == self.hub.token:
            return self.hub.user
        if needed:
            raise Refused(401, "", "Invalid credentials in Authorization header")

    def _repo(self, kind, repo, write=False):
        found = self.hub.repos.get((TYPES[kind or "models"], repo))
        user = self._user(needed=write)
        if found is None or (found.private and not user):
            raise Refused(404 if user else 401, "RepoNotFound", "Repository not found")
        if write and repo.split("/")[0] != user:
            raise Refused(403, "", "You don't have the rights to write here")
        return found

    @route("GET", r"/api/whoami-v2")
    def whoami(self):
        token = {"displayName": "test", "role": "write"}
        about = {"type": "user", "id": "0", "name": self._user(), "fullname": self.hub.user, "isPro": False}
        return about | {"orgs": [], "auth": {"type": "access_token", "accessToken": token}}

    @route("POST", r"/api/repos/create")
    def create(self):
        user, asked = self._user(), self._json()
        kind, repo = asked.get("type") or "model", f"{asked.get('organization') or user}/{asked['name']}"
        if repo.split("/")[0] != user:
            raise Refused(403, "", f"You don't have the rights to create a {kind} under the namespace of {repo}")
        body = {"url": f"{self.hub.url}/{'' if kind == 'model' else kind + 's/'}{repo}", "name": repo, "id": repo}
        if (kind, repo) in self.hub.repos:
            raise Refused(409, "", "exists", body=body | {"error": "You already created this repo"})
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repos[kind, repo] = Repo(kind, repo, private, asked.get("sdk"))
        return body

    @route("DELETE", r"/api/repos/delete")
    def delete(self):
        asked = self._json()
        kind, repo = asked.get("type") or "model", f"{asked.get('organization') or self._user()}/{asked['name']}"
        self._repo(f"{kind}s", repo, write=True)
        del self.hub.repos[kind, repo]
        return {}

    @route("POST", r"/api/validate-yaml")
    def validate(self):
        front = re.match(r"---\n(.*?)\n---", self._json()["content"], re.DOTALL)
        try:
            yaml.safe_load(front.group(1) if front else "")
        except yaml.YAMLError as error:
            raise Refused(400, body={"errors": [{"message": str(error)}], "warnings": []}) from None
        return {"errors": [], "warnings": []}

    @route("POST", API + r"/preupload/(?P<revision>[^/]+)")
    def preupload(self, kind, repo, revision):
        held = self._repo(kind, repo, write=True).at(revision).files
        answers = []
        for entry in self._json()["files"]:
            path = entry["path"]
            large = path.endswith(LFS_SUFFIXES) or entry["size"] >= LFS_SIZE
            oid = held[path].etag if path in held else None
            mode = "lfs" if large else "regular"
            answers.append({"path": path, "shouldIgnore": False, "uploadMode": mode, "oid": oid})
        return {"files": answers}

    @route("POST", PREFIX + r"\.git/info/lfs/objects/batch")
    def lfs_batch(self, kind, repo):
        self._repo(kind, repo, write=True)
        objects = []
        for entry in self._json()["objects"]:
            oid, href = entry["oid"], f"{self.hub.url}/_lfs/{entry['oid']}"
            verify = {"href": f"{href}/verify", "header": {}}
            missing = {} if oid in self.hub.blobs else {"actions": {"upload": {"href": href}, "verify": verify}}
            objects.append({"oid": oid, "size": entry["size"]} | missing)
        return {"transfer": "basic", "objects": objects}

    @route("PUT", r"/_lfs/(?P<oid>[0-9a-f]{64})")
    def lfs_put(self, oid):
        self.hub.blobs[oid] = Blob(self.raw, lfs=True)
        return {}

    @route("POST", r"/_lfs/(?P<oid>[0-9a-f]{64})/verify")
    def lfs_verify(self, oid):
        self._user()
        if self.hub.blobs[oid].sha256 != oid or len(self.hub.blobs[oid].data) != self._json()["size"]:
            del self.hub.blobs[oid]
            raise Refused(422, "", "the uploaded bytes have another SHA-256 than announced")
        return {}

    @route("POST", API + r"/commit/(?P<revision>[^/]+)")
    def commit(self, kind, repo, revision):
        found = self._repo(kind, repo, write=True)
        head = found.at(revision)
        files, header = dict(head.files), {}
        for operation in map(json.loads, filter(None, self.raw.splitlines())):
            header |= self._apply(operation["key"], operation["value"], files, head)
        oid = found.commit(revision, files, header.get("summary", ""))
        url = f"{self.hub.url}/{'' if found.kind == 'model' else found.kind + 's/'}{repo}/commit/{oid}"
        return {"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""}

    def _apply(self, key, value, files, head):
        """One line of a commit, onto `files`; returns the header's fields."""
        if key == "header":
            if not head.oid.startswith(value.get("parentCommit") or ""):
                raise Refused(412, "", "parent commit is not the head")
            return value
        if key == "file":
            files[value["path"]] = Blob(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            if value["oid"] not in self.hub.blobs:
                raise Refused(400, "", f"LFS object {value['oid']} was never uploaded")
            files[value["path"]] = self.hub.blobs[value["oid"]]
        elif key == "deletedFile" and files.pop(value["path"], None) is None:
            raise Refused(404, "EntryNotFound", "A file with this name doesn't exist")
        return {}

    @route("GET", r"/api/(?P<kind>models|datasets|spaces)")
    def listing(self, kind):
        found = [repo for (type_, _), repo in self.hub.repos.items() if type_ == TYPES[kind]]
        return [self._info(repo, repo.at("main")) for repo in found]

    @route("GET", API + r"(/revision/(?P<revision>[^/]+))?")
    def info(self, kind, repo, revision):
        found = self._repo(kind, repo)
        return self._info(found, found.at(revision or "main"))

    def _info(self, repo, commit):
        readme = commit.files.get("README.md")
        front = re.match(r"---\n(.*?)\n---", readme.data.decode(), re.DOTALL) if readme else None
        card = (yaml.safe_load(front.group(1)) if front else None) or {}
        siblings = [
            {"rfilename": path, "size": len(blob.data), "blobId": blob.oid} for path, blob in commit.files.items()
        ]
        about = {"_id": repo.id, "id": repo.id, "modelId": repo.id, "author": repo.id.split("/")[0], "sha": commit.oid}
        state = {"private": repo.private, "gated": False, "disabled": False, "downloads": 0, "likes": 0}
        dates = {"lastModified": DATE, "createdAt": DATE, "sdk": repo.sdk}
        shown = {key: card.get(key) for key in ("tags", "pipeline_tag", "library_name")}
        return about | state | dates | shown | {"tags": card.get("tags") or [], "cardData": card, "siblings": siblings}

    @route("GET", API + r"/tree/(?P<revision>[^/]+)(/(?P<path>.*))?")
    def tree(self, kind, repo, revision, path):
        files, base = self._repo(kind, repo).at(revision).files, f"{path}/" if path else ""
        deep = self.query.get("recursive", "").lower() in ("true", "1")
        entries, folders = [], set()
        for name, blob in sorted(files.items()):
            parts = name.removeprefix(base).split("/")
            if not name.startswith(base):
                continue
            folders |= {base + "/".join(parts[: i + 1]) for i in range(len(parts) - 1 if deep else len(parts) > 1)}
            if deep or len(parts) == 1:
                entries.append(blob.describe(name))
        if base and not entries and not folders:
            raise Refused(404, "EntryNotFound", f"{path} does not exist on {revision}")
        return entries + [self._folder(name) for name in sorted(folders)]

    @route("POST", API + r"/paths-info/(?P<revision>[^/]+)")
    def paths_info(self, kind, repo, revision):
        files = self._repo(kind, repo).at(revision).files
        form = self._json() if "json" in self.headers.get("Content-Type", "") else parse_qs(self.raw.decode())
        paths = form.get("paths", [])
        folders = [path for path in paths if any(name.startswith(path.rstrip("/") + "/") for name in files)]
        return [files[path].describe(path) for path in paths if path in files] + [self._folder(f) for f in folders]

    @staticmethod
    def _folder(path):
        return {"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0, "path": path}

    @route("GET", API + r"/refs")
    def refs(self, kind, repo):
        refs = self._repo(kind, repo).refs
        branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": oid} for n, oid in refs.items()]
        return {"branches": branches, "converts": [], "tags": []}

    @route("POST", API + r"/(branch/(?P<branch>[^/]+)|tag/(?P<tagged>[^/]+))")
    def make_ref(self, kind, repo, branch, tagged):
        found, asked = self._repo(kind, repo, write=True), self._json()
        start = tagged or asked.get("startingPoint") or "main"
        found.refs[branch or asked["tag"]] = found.at(start).oid
        return {}

    @route("GET|HEAD", PREFIX + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
    def resolve(self, kind, repo, revision, path):
        commit = self._repo(kind, repo).at(revision)
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if (blob := commit.files.get(path)) is None:
            raise Refused(404, "EntryNotFound", "Entry not found", headers)
        headers["ETag"] = f'"{blob.etag}"'
        if blob.lfs:
            headers |= {"X-Linked-Etag": f'"{blob.etag}"', "X-Linked-Size": str(len(blob.data))}
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not asked:
            return 200, blob.data, headers
        first, last = int(asked[1]), min(int(asked[2] or len(blob.data) - 1), len(blob.data) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(blob.data)}"
        return 206, blob.data[first : last + 1], headers
