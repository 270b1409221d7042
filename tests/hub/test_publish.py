"""Publishing: whole or not at all, private, without tokens; what the Hub answers becomes one sentence."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors.numpy import load_file, save_file

from affecthub.hub.card import TEMPLATE
from affecthub.hub.publish import publish_model
from affecthub.hub.push import push
from affecthub.hub.space import space_files

from .conftest import write_model_folder

NAME = "tester/tiny"
COMMIT = f"POST /api/models/{NAME}/commit/"
LFS = "PUT /_lfs/"


def posts(hub, what):
    return sum(request.startswith(what) for request in hub.requests)


def commits(hub, name=NAME, kind="model"):
    """Titles of what came after the repository's own first commit."""
    return [commit.title for commit in hub.repos[kind, name].commits[1:]]


def test_everything_goes_up_in_one_private_commit(hub, model_folder):
    url = publish_model(model_folder, NAME)
    repo = hub.repos["model", NAME]
    assert repo.private and commits(hub) == ["Publish tiny with affecthub"]
    assert url == f"{hub.url}/{NAME}/commit/{repo.refs['main']}"
    local = {path.name: path.read_bytes() for path in model_folder.iterdir()}
    published = hub.files(NAME)
    assert published.keys() == local.keys() >= {"modeling_frame_cnn.py", "pipeline_affect.py", "handler.py"}
    assert {name for name in local if local[name] != published[name]} == {"README.md"}
    assert hub.unknown == []


def test_the_published_card_names_the_repository_and_the_folder_stays_as_it_was(hub, model_folder):
    before = (model_folder / "README.md").read_bytes()
    publish_model(model_folder, NAME)
    assert f'\nmodel_id = "{NAME}"\n' in hub.files(NAME)["README.md"].decode()
    assert (model_folder / "README.md").read_bytes() == before


def test_the_cards_own_template_has_that_line():
    assert "%}model_id = {{ repository }}" in TEMPLATE.read_text(encoding="utf-8")


def test_a_later_publication_replaces_what_is_stale_and_keeps_the_history(hub, model_folder):
    publish_model(model_folder, NAME)
    first = hub.repos["model", NAME].refs["main"]
    (model_folder / "old.png").write_bytes(b"png")
    publish_model(model_folder, NAME)
    (model_folder / "old.png").unlink()
    publish_model(model_folder, NAME, message="Third")
    assert len(commits(hub)) == 3 and commits(hub)[-1] == "Third"
    assert hub.files(NAME) == hub.files(NAME, revision=first)
    assert ".gitattributes" in hub.repos["model", NAME].at("main").files


def test_publishing_the_same_again_is_no_change(hub, model_folder):
    assert publish_model(model_folder, NAME) == publish_model(model_folder, NAME)
    assert len(commits(hub)) == 1


def test_sharded_weights_go_up_whole_and_a_lost_shard_is_named(hub, tmp_path):
    folder = tmp_path / "sharded"
    write_model_folder(folder, max_shard_size="2KB")
    shards = sorted(path.name for path in folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    publish_model(folder, NAME)
    assert {*shards, "model.safetensors.index.json"} <= hub.files(NAME).keys()
    (folder / shards[0]).unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {shards[0]}"):
        publish_model(folder, NAME)


def test_hidden_files_and_compiled_python_stay_behind(hub, model_folder):
    (model_folder / ".env").write_text("secret")
    (model_folder / "__pycache__").mkdir()
    publish_model(model_folder, NAME)
    assert not {".env", "__pycache__"} & hub.files(NAME).keys()


def test_a_public_repository_only_when_asked(hub, model_folder, caplog):
    publish_model(model_folder, NAME, private=False)
    assert not hub.repos["model", NAME].private
    with pytest.raises(ValueError, match=f"{NAME} exists and is public"):
        publish_model(model_folder, NAME)
    publish_model(model_folder, "tester/hidden")
    with caplog.at_level(logging.WARNING):
        publish_model(model_folder, "tester/hidden", private=False)
    assert "stays private" in caplog.text and hub.repos["model", "tester/hidden"].private


def test_the_space_is_made_on_request(hub, model_folder, caplog):
    publish_model(model_folder, NAME, with_space=True)
    space = hub.repos["space", f"{NAME}-demo"]
    assert space.private and space.sdk == "gradio"
    assert hub.files(f"{NAME}-demo", kind="space") == space_files(NAME)
    assert "secret HF_TOKEN" in caplog.text


NEEDED = ("config.json", "processor_config.json", "README.md", "metrics.json", "handler.py", "requirements.txt")


@pytest.mark.parametrize("name", [*NEEDED, "model.safetensors", "heads.py", "inputs.py"])
def test_what_a_folder_lacks_is_named(name, hub, model_folder):
    (model_folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {re.escape(name)}: publish one that train.py wrote"):
        publish_model(model_folder, NAME)
    assert hub.requests == []


def test_a_picture_of_the_card_and_code_that_lives_elsewhere_are_missed(hub, model_folder):
    card = model_folder / "README.md"
    card.write_text(card.read_text() + "\n![Curves](curves.png) ![a badge](https://example.org/x.png)\n")
    config = json.loads((model_folder / "config.json").read_text())
    config["auto_map"]["AutoModel"] = "other/repo--modeling_frame_cnn.FrameCnnModel"
    (model_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(FileNotFoundError, match="lacks other/repo--modeling_frame_cnn.py, curves.png: "):
        publish_model(model_folder, NAME)


@pytest.mark.parametrize("name", ["face.mp4", "voice.wav", "optimizer.pt", "rows.csv", "checkpoint-3"])
def test_what_is_no_part_of_a_model_is_refused(name, hub, model_folder):
    (model_folder / name).write_bytes(b"x") if "." in name else (model_folder / name).mkdir()
    with pytest.raises(ValueError, match=f"holds {name}, no part of a model"):
        publish_model(model_folder, NAME)
    assert hub.requests == []


def test_broken_weights_and_broken_json_are_named(hub, model_folder):
    weights = model_folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="model.safetensors is broken"):
        publish_model(model_folder, NAME)
    weights.write_bytes(whole)
    for text in ("{", "3", '"{}"'):
        (model_folder / "config.json").write_text(text)
        with pytest.raises(ValueError, match="config.json is no JSON object"):
            publish_model(model_folder, NAME)


def test_a_folder_that_is_no_model(hub, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        publish_model(tmp_path / "nothing", NAME)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="not a complete model folder, it lacks config.json"):
        publish_model(tmp_path / "empty", NAME)
    (tmp_path / "empty" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="has no auto_map .* with add_travelling_code"):
        publish_model(tmp_path / "empty", NAME)


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "owner/", "owner/na me"])
def test_a_name_that_the_hub_cannot_have(name, hub, model_folder):
    with pytest.raises(ValueError, match="owner/"):
        publish_model(model_folder, name)
    assert hub.requests == []


@pytest.mark.parametrize("of_another", [False, True])
def test_a_token_in_a_file_is_refused_by_the_name_of_the_file(of_another, hub, model_folder, caplog):
    token = "hf_" + "A" * 34 if of_another else hub.token
    (model_folder / "metrics.json").write_text(json.dumps({"recipe": {"token": token}}))
    with pytest.raises(ValueError, match="^metrics.json holds an access token") as caught:
        publish_model(model_folder, NAME)
    assert token not in str(caught.value) + caplog.text
    assert hub.requests == []


def test_without_a_token_one_is_told_how_to_log_in(hub, model_folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(OSError, match="no token of the Hub was found.*hf auth login"):
        publish_model(model_folder, NAME)
    assert hub.requests == []


def test_a_wrong_token_and_a_name_that_is_not_ones_own(hub, model_folder):
    with pytest.raises(OSError, match="HTTP 401 Invalid credentials.*hf auth login") as caught:
        publish_model(model_folder, NAME, token="hf_wrong")
    assert "hf_wrong" not in str(caught.value)
    with pytest.raises(OSError, match="HTTP 403.*token with write access to that name"):
        publish_model(model_folder, "somebody/else")
    assert hub.repos == {}


def test_an_offline_process_says_so(hub, model_folder, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="offline mode is enabled"):
        publish_model(model_folder, NAME)


@pytest.mark.parametrize("kind", ["drop", "lose", "status"])
@pytest.mark.parametrize("request_", ["POST /api/repos/create", f"GET /api/models/{NAME}", COMMIT])
def test_a_fault_that_passes_is_outlived_and_leaves_one_commit(kind, request_, hub, model_folder, caplog):
    hub.fail(kind, request_, times=2)
    url = publish_model(model_folder, NAME)
    assert len(commits(hub)) == 1 and url.endswith(hub.repos["model", NAME].refs["main"])
    assert hub.files(NAME).keys() == {path.name for path in model_folder.iterdir()}
    assert hub.token not in caplog.text


def test_slow_answers_are_waited_for(hub, model_folder):
    hub.fail("slow", COMMIT, seconds=0.3)
    assert publish_model(model_folder, NAME)


def test_a_dropped_upload_is_retried_by_the_client_itself(hub, model_folder):
    hub.fail("drop", LFS)
    publish_model(model_folder, NAME)
    assert posts(hub, LFS) == 2 and len(commits(hub)) == 1


@pytest.mark.parametrize("kind", ["drop", "status"])
def test_a_hub_that_stays_away_leaves_nothing_half_published(kind, hub, model_folder):
    hub.fail(kind, COMMIT, times=99)
    with pytest.raises(OSError, match=f"{NAME} was not published .*whole or not at all"):
        publish_model(model_folder, NAME)
    assert posts(hub, COMMIT) == 4
    assert commits(hub) == [] and hub.files(NAME) == {}


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (f"POST /{NAME}.git/info/lfs/", 403, "Private repository storage limit reached"),
        (LFS, 413, "too large"),
        (COMMIT, 402, "Payment required"),
    ],
)
def test_a_full_quota_is_told_at_once_and_an_earlier_publication_stays(request_, status, words, hub, model_folder):
    publish_model(model_folder, NAME)
    before = hub.files(NAME)
    weights = load_file(model_folder / "model.safetensors")
    save_file({name: np.zeros_like(value) for name, value in weights.items()}, model_folder / "model.safetensors")
    hub.fail("status", request_, status=status, message=words, times=99)
    with pytest.raises(OSError, match=f"HTTP {status} {words}.*quota"):
        publish_model(model_folder, NAME)
    assert posts(hub, COMMIT) <= 2 and hub.files(NAME) == before and len(commits(hub)) == 1


def test_bytes_that_change_on_the_way_up_are_noticed(hub, model_folder):
    hub.fail("corrupt", LFS)
    with pytest.raises(OSError, match="another SHA-256 than announced"):
        publish_model(model_folder, NAME)
    assert commits(hub) == []
    assert publish_model(model_folder, NAME) and len(commits(hub)) == 1


def test_a_commit_by_somebody_else_in_the_meantime_is_not_overwritten(hub, model_folder):
    publish_model(model_folder, NAME)
    repo, serve = hub.repos["model", NAME], HfApi.create_commit

    def interfere(self, *arguments, **options):
        repo.commit("main", repo.at("main").files, "somebody else's")
        return serve(self, *arguments, **options)

    (model_folder / "metrics.json").write_text("{}")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="HTTP 412 .*changed at the same time"):
        patch.setattr(HfApi, "create_commit", interfere)
        publish_model(model_folder, NAME)
    assert commits(hub)[-1] == "somebody else's"


def test_a_gitignore_on_the_hub_would_hold_files_back(hub):
    push({"a.txt": b"a", ".gitignore": b"*.png"}, NAME, "model", private=True, token=None, message=None)
    with pytest.raises(ValueError, match="has a .gitignore"):
        push({"a.txt": b"b"}, NAME, "model", private=True, token=None, message=None)
    assert hub.files(NAME)["a.txt"] == b"a"


@pytest.mark.parametrize("fault", ["truncate", "drop", "status", "slow"])
def test_a_download_outlives_faults(fault, hub, model_folder, tmp_path):
    publish_model(model_folder, NAME)
    hub.fail(fault, f"GET /{NAME}/resolve/.*safetensors", seconds=0.2 if fault == "slow" else 0.0, status=429)
    got = Path(hf_hub_download(NAME, "model.safetensors", cache_dir=tmp_path / "cache"))
    assert got.read_bytes() == (model_folder / "model.safetensors").read_bytes()


def test_a_wrong_checksum_of_a_download_is_found_by_the_clients_own_check(hub, model_folder, tmp_path):
    publish_model(model_folder, NAME)
    hub.fail("corrupt", f"GET /{NAME}/resolve/.*safetensors")
    snapshot_download(NAME, cache_dir=tmp_path / "cache")
    verified = HfApi().verify_repo_checksums(NAME, cache_dir=tmp_path / "cache")
    assert [mismatch["path"] for mismatch in verified.mismatches] == ["model.safetensors"]


@pytest.mark.parametrize(
    ("name", "revision", "status"), [("tester/nobody", "main", 404), (NAME, "0" * 40, 404), (NAME, "none", 404)]
)
def test_what_is_not_there_is_an_error_of_the_clients(name, revision, status, hub, model_folder, tmp_path):
    publish_model(model_folder, NAME)
    with pytest.raises(HfHubHTTPError) as caught:
        hf_hub_download(name, "config.json", revision=revision, cache_dir=tmp_path / "cache")
    assert caught.value.response.status_code == status
