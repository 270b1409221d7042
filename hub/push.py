"""Pushing files to the Hub: a repository, private unless asked otherwise, holds exactly them after one commit."""

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import TypeVar

from httpx2 import TransportError
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id

from affecthub.evaluation.private import TOKENS

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")
Content = bytes | Path
"""Of a file: itself, or where it lies."""

KEPT = {".gitattributes"}
"""What the Hub itself puts into a repository."""

HEADER = 2**20
"""Bytes at the beginning of a file of weights that are searched."""

FAILURES = (TransportError, HfHubHTTPError, JSONDecodeError)
"""A lost connection, a refusal, and an answer that is no JSON, such as a proxy's page."""

WAITS = (1.0, 2.0, 4.0)
"""s before each further attempt. huggingface_hub retries uploads itself, but not these: create, look, commit."""

REMEDIES = {
    401: "log in with `hf auth login`, or set HF_TOKEN to a token with write access",
    402: "free space on the Hub, or raise the quota of that account",
    403: "use a token with write access to that name, and see that the account's quota is not used up",
    404: "check the name, and that this token may see it",
    409: "wait for what is going on there, and run it again",
    412: "it was changed at the same time; look at it, and run it again",
    413: "free space on the Hub, or raise the quota of that account",
}
"""Status -> what to do about it."""


def require_repo_id(repo_id: str) -> None:
    """ValueError unless it is "owner/name" as the Hub allows it."""
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(f"{repo_id!r} is no name on the Hub ({error}); give one such as owner/name.") from None
    if "/" not in repo_id:
        raise ValueError(f"{repo_id!r} names no owner; give one such as owner/{repo_id}.")


def push(
    files: Mapping[str, Content],
    repo_id: str,
    repo_type: str,
    *,
    private: bool,
    token: str | None,
    message: str | None,
) -> str:
    """Make a repository hold exactly these files, by one commit onto what was there; returns the commit's address.

    An attempt whose answer was lost is repeated safely: the parent commit is fixed, and files that have arrived are
    no change.

    Raises:
        ValueError: a file holds an access token, or the repository is public although `private` was asked for.
        OSError: as `publish_model`.
    """
    token = token or get_token()
    if not token:
        raise OSError(f"{repo_id} was not published (no token of the Hub was found): {REMEDIES[401]}.")
    refuse_tokens(files, token)
    api, sdk = HfApi(token=token), "gradio" if repo_type == "space" else None
    with _explained(repo_id):
        _persist(lambda: api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True, space_sdk=sdk))
        before = _persist(lambda: api.repo_info(repo_id, repo_type=repo_type))
        if private and not before.private:
            raise ValueError(f"{repo_id} exists and is public: ask for a public one, or choose another name.")
        if before.private and not private:
            logger.warning("%s exists and stays private; its settings on the Hub change that.", repo_id)
        commit = _persist(
            lambda: api.create_commit(
                repo_id,
                _operations(files, set(api.list_repo_files(repo_id, repo_type=repo_type))),
                repo_type=repo_type,
                commit_message=message or f"Publish {repo_id.split('/')[1]} with affecthub",
                parent_commit=before.sha,
            )
        )
    return commit.commit_url


def refuse_places(files: Mapping[str, Content], places: Iterable[str]) -> None:
    """ValueError when a file holds a path of this machine, of those that are known; it names the file.

    Of weights the header is searched, which holds all that is no number.
    """
    spelled = {text.encode() for place in places for text in (place, json.dumps(place)[1:-1])}
    for name, content in files.items():
        if isinstance(content, Path):
            with content.open("rb") as file:
                content = file.read(HEADER if content.suffix == ".safetensors" else -1)
        if found := next((place for place in spelled if place in content), None):
            raise ValueError(f"{name} holds {found.decode()}, a path of this machine: remove it there, then publish.")


def refuse_tokens(files: Mapping[str, Content], token: str) -> None:
    """ValueError when a file holds an access token of the Hub; it names the file, never the token."""
    secret = re.compile(TOKENS.pattern.encode() + b"|" + re.escape(token).encode())
    for name, content in files.items():
        if name.endswith((".safetensors", ".parquet")):
            continue
        if secret.search(content if isinstance(content, bytes) else content.read_bytes()):
            raise ValueError(f"{name} holds an access token of the Hub: remove it there, and revoke that token.")


def _operations(files: Mapping[str, Content], held: set[str]) -> list[CommitOperationAdd | CommitOperationDelete]:
    """What turns a repository with the paths `held` into one with exactly these files."""
    if ".gitignore" in held:
        raise ValueError("The repository has a .gitignore, which would hold files back: delete it on the Hub first.")
    stale = held - set(files) - KEPT
    return [
        *(CommitOperationAdd(name, content) for name, content in files.items()),
        *(CommitOperationDelete(name) for name in sorted(stale)),
    ]


def _persist(ask: Callable[[], Answer]) -> Answer:
    """The answer of the Hub, asked again after a lost connection or an error of its own."""
    for wait in WAITS:
        try:
            return ask()
        except FAILURES as error:
            if not _worth_another_attempt(error):
                raise
            logger.warning("The Hub did not answer (%s); asking again in %g s.", _reason(error), wait)
            time.sleep(wait)
    return ask()


def _worth_another_attempt(error: TransportError | HfHubHTTPError | JSONDecodeError) -> bool:
    """Whether it may pass, and huggingface_hub has not tried again by itself, as it does where files are uploaded."""
    if isinstance(error, JSONDecodeError):
        return True
    if isinstance(error, TransportError):
        status, request = 503, error.request
    else:
        status, request = error.response.status_code, error.response.request
    return status >= 500 and not any(part in str(request.url) for part in ("/preupload/", "/info/lfs/"))


@contextmanager
def _explained(repo_id: str) -> Iterator[None]:
    """The Hub's errors as one OSError in one sentence, with the remedy."""
    try:
        yield
    except (*FAILURES, OfflineModeIsEnabled, RuntimeError) as error:  # RuntimeError: of an upload's thread
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else 0
        remedy = REMEDIES.get(status, "run it again when the Hub can be reached; it is published whole or not at all")
        raise OSError(f"{repo_id} was not published ({_reason(cause)}): {remedy}.") from error


def _reason(error: BaseException) -> str:
    """The status and the Hub's own words, or what happened to the connection, in one line."""
    if isinstance(error, HfHubHTTPError):
        words = error.server_message or error.response.reason_phrase
        return " ".join(f"HTTP {error.response.status_code} {words}".split())
    return " ".join(f"{type(error).__name__}: {error}".split())


__all__ = ["Content", "push", "refuse_places", "refuse_tokens", "require_repo_id"]
