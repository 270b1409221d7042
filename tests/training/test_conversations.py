"""Turns in training: the same raw and from what frozen encoders gave, and in the pipeline of the saved folder."""

import copy

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import set_seed

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.inference.pipeline_affect import TASK, AffectRecognitionPipeline
from affecthub.training.collator import Collator
from affecthub.training.data import make_dataset
from affecthub.training.encoder_cache.run import use_encoder_cache
from affecthub.training.evaluate import answer, evaluate
from affecthub.training.from_recipe import build_model, build_processor, modalities_of, settled
from affecthub.training.recipe import load_recipe
from affecthub.training.trainer import make_trainer

from ..tiny_configs import LAYERS

TINY = (
    f"--model.text_config={dict(model_type='bert', max_position_embeddings=64, **LAYERS)}",
    *("--model.text_encoder=null", "--training.num_workers=0", "--training.precision=fp32", "--training.epochs=1"),
)
DIALOGUE = ("--model.config={dialogue_size: 8, hidden_size: 16}", "--inputs.turns_before=3", "--inputs.turns_after=1")
IN_THE_TEXT = (
    *("--model.architecture=unimodal_baseline", "--model.modalities=[text]", "--inputs.turns_before=3"),
    *("--inputs.speakers=neutral", "--training.phases=[{start_epoch: 0, encoder_layers: 0}]"),
)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of twelve dialogues of six turns by people of whom one in seven is not named."""
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))
    rng, lines = np.random.default_rng(0), ["text,person,talk,place,emotion,split"]
    for i in range(72):
        said = " ".join(rng.choice(["oh", "no", "yes", "well", "so", "good"], 3))
        part = ("train", "train", "validation")[i // 6 % 3]
        lines.append(f"{said},{f'p{i % 4}' if i % 7 else ''},t{i // 6},{i % 6},{('joy', 'calm')[i % 2]},{part}")
    path = tmp_path / "talks.csv"
    path.write_text("\n".join(lines))
    return path


def prepared(table, *options):
    """Recipe, corpus, processor and model."""
    data = [f"--data.root={table}", "--data.targets=[emotion]"]
    data.append("--data.columns={participant: person, dialogue: talk, turn: place}")
    recipe = load_recipe("meld_dialogue", "--data=Clips", *data, *TINY, "--split.accept=[]", *options)
    corpus = load_corpus(recipe.data, modalities_of(recipe.model), recipe.split)
    recipe = settled(recipe, corpus)
    set_seed(0)
    processor = build_processor(recipe, corpus)
    return recipe, corpus, processor, build_model(recipe, corpus, processor)


def samples_of(recipe, corpus, processor):
    shuffled = (None, 0, False, recipe.inputs.shuffle_turns)
    return {split: make_dataset(corpus, split, processor, 1, *shuffled) for split in corpus.splits}


def test_a_sample_has_the_turns_around_it_and_who_speaks(table):
    recipe, corpus, processor, _ = prepared(table, *DIALOGUE)
    sample, rows = samples_of(recipe, corpus, processor)["train"][4], corpus.splits["train"]
    assert [turn["text"] for turn in sample["history"]] == [rows[i]["text"] for i in (1, 2, 3)]
    assert [turn["text"] for turn in sample["following"]] == [rows[5]["text"]]
    assert [turn["speaker"] for turn in sample["history"]] == [rows[i]["participant"] for i in (1, 2, 3)]
    assert sample["speaker"] == rows[4]["participant"]


def test_batches_are_grouped_by_the_length_of_a_text_with_its_turns(table):
    recipe, corpus, processor, _ = prepared(table, *IN_THE_TEXT)
    samples = samples_of(recipe, corpus, processor)["train"]
    expected = [len(s["text"]) + sum(len(turn["text"]) for turn in s["history"]) for s in samples]
    assert samples.lengths == expected and len(set(expected)) > 2


@pytest.mark.parametrize("options", [DIALOGUE, IN_THE_TEXT])
def test_what_frozen_encoders_gave_serves_for_turns_too(table, options, tmp_path):
    recipe, corpus, processor, model = prepared(table, *options)
    raw = samples_of(recipe, corpus, processor)
    data = {split: copy.copy(samples) for split, samples in raw.items()}
    for samples in data.values():
        samples._all = samples
    trainer = make_trainer(model, recipe, tmp_path / "run", corpus, data["train"], data["validation"])
    use_encoder_cache(trainer, data, recipe)
    collate, model = Collator(processor, recipe.augmentation.features), model.eval().cpu()
    for split in data:
        batches = [collate([samples[i] for i in (0, 3, 5)]) for samples in (raw[split], data[split])]
        assert "input_ids" in batches[0] and "text_features" in batches[1]
        with torch.no_grad():
            one, other = (model(**batch).logits for batch in batches)
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [DIALOGUE, IN_THE_TEXT])
def test_it_trains_is_judged_and_answers_with_a_history(table, options, tmp_path):
    recipe, corpus, processor, model = prepared(table, *options)
    if "dialogue_size" in str(options):
        torch.nn.init.normal_(model.context_classifier.weight)
    data = samples_of(recipe, corpus, processor)
    trainer = make_trainer(model, recipe, tmp_path / "run", corpus, data["train"], data["validation"])
    use_encoder_cache(trainer, data, recipe)
    trainer.train()
    results = evaluate(trainer, answer(trainer, data, corpus), data, corpus, recipe, [])["results"]
    figures = results["validation"]["emotion"]
    assert 0 <= figures["accuracy"] <= 1, figures
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    pipe = AffectRecognitionPipeline(
        model=type(model).from_pretrained(tmp_path / "model"),
        processor=type(processor).from_pretrained(tmp_path / "model"),
        task=TASK,
        device="cpu",
    )
    rows, after = corpus.splits["validation"], processor.turns_after
    turns = [{"text": row["text"], "speaker": row["participant"]} for row in rows.select(range(6))]
    given = turns[4] | {"history": turns[:4]} | ({"following": turns[5:]} if after else {})
    said, plain = pipe(given), pipe(turns[4])
    (_, logits) = trainer_answers(trainer, data["validation"])
    expected = torch.tensor(logits[4]).softmax(-1).tolist()
    assert list(said["scores"].values()) == pytest.approx(expected, abs=1e-5)
    assert said["scores"] != pytest.approx(plain["scores"], abs=1e-5)


def trainer_answers(trainer, samples):
    prediction = trainer.predict(samples)
    return prediction.label_ids, prediction.predictions


def test_the_control_gives_turns_of_other_conversations(table):
    recipe, corpus, processor, _ = prepared(table, *DIALOGUE, "--inputs.shuffle_turns=true")
    sample, rows = samples_of(recipe, corpus, processor)["train"][4], corpus.splits["train"]
    assert sample["text"] == rows[4]["text"] and len(sample["history"]) == 3
    assert [turn["text"] for turn in sample["history"]] != [rows[i]["text"] for i in (1, 2, 3)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((*IN_THE_TEXT, "--inputs.turns_after=1"), "only a dialogue model takes turns after a row"),
        (("--inputs.turns_before=0",), "turns_before=0, turns_after=0: a dialogue model needs turns"),
        (("--data.columns={participant: person}",), "no column dialogue and no turn"),
    ],
)
def test_turns_that_cannot_be_are_refused(table, options, said):
    with pytest.raises((ValueError, StrictDataclassError), match=said):
        samples_of(*prepared(table, *options)[:3])
