"""What a named model hears lands in the windows by its times, where nothing else says what is said."""

import json
from types import SimpleNamespace

import pytest
import torch
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

from affecthub.hub import cli
from affecthub.inference import transcribe
from affecthub.media.container import HeldFile

from ..hub.tiny import write_folder, write_long_clip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A clip with sound up to 4 s, a model of three modalities and one of pictures, and one that hears "a" always."""
    root = tmp_path_factory.mktemp("transcribe")
    write_long_clip(root / "clip.mp4", seconds=6, sound=4)
    write_folder(root / "model")
    write_folder(root / "watcher", "unimodal_baseline", ["video"])
    (root / "vocab.json").write_text(json.dumps({"<pad>": 0, "|": 1, "a": 2, "<unk>": 3}))
    tokenizer = Wav2Vec2CTCTokenizer(str(root / "vocab.json"), pad_token="<pad>", bos_token=None, eos_token=None)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    conv = {"conv_dim": (8, 8), "conv_kernel": (10, 8), "conv_stride": (20, 16), "num_conv_pos_embeddings": 4}
    config = Wav2Vec2Config(vocab_size=4, pad_token_id=0, num_conv_pos_embedding_groups=2, **small, **conv)
    model = Wav2Vec2ForCTC(config)
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.bias.copy_(torch.tensor([0.0, 0.0, 1.0, 0.0]))
    model.save_pretrained(root / "asr")
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(root / "asr")
    return root


def test_what_is_heard_is_the_text_of_its_window(root, capsys, monkeypatch):
    monkeypatch.chdir(root)
    (line,) = transcribe.transcribed(HeldFile("clip.mp4"), "asr")
    assert line.text == "a" and line.start < 0.1 and 3 < line.end < 4.2
    command = ["predict", "clip.mp4", "--window", "3", "--format", "json", "--transcribe"]
    assert cli.main([*command, "asr", "--model", "model"]) == 0
    (given,) = json.loads(capsys.readouterr().out)["inputs"]
    assert ["text" in answer["modalities"] for answer in given["answers"]] == [True, False]
    for arguments, said in (
        (["nowhere", "--model", "model"], "--transcribe nowhere: cannot be loaded"),
        (["asr", "--model", "watcher"], "no text: leave --transcribe out"),
    ):
        assert cli.main([*command, *arguments]) == 2
        assert said in capsys.readouterr().err


def test_segments_count_from_their_part_and_subtitles_come_first(root, monkeypatch):
    chunks = [{"timestamp": (1.0, None), "text": " so glad "}, {"timestamp": (2.0, 3.0), "text": " "}]
    hears = SimpleNamespace(type="seq2seq_whisper", feature_extractor=SimpleNamespace(sampling_rate=16_000))
    asked = []

    class Whisper:
        """Hears the same in every part."""

        def __getattr__(self, name):
            return getattr(hears, name)

        def __call__(self, sound, return_timestamps):
            """As the pipeline."""
            asked.append(return_timestamps)
            return {"chunks": chunks}

    monkeypatch.setattr(transcribe, "recogniser", lambda model: Whisper())
    monkeypatch.setattr(transcribe, "PART", 2.0)
    found = transcribe.transcribed(HeldFile(root / "clip.mp4"), "whisper")
    assert [(line.start, line.end, line.text) for line in found] == [(1, 2, "so glad"), (3, 4, "so glad")]
    assert asked == [True, True]
    (root / "other.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nI know\n")
    (root / "other.mp4").write_bytes((root / "clip.mp4").read_bytes())
    assert [line.text for line in transcribe.transcribed(HeldFile(root / "other.mp4"), "whisper")] == ["I know"]
