"""Recipes: what is shipped, what can be overridden, and what is refused with which words."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from affecthub.datasets_scripts.clips.corpus import Clips
from affecthub.datasets_scripts.genex.corpus import Genex
from affecthub.training.augmentation import LIGHT, SPEECH, STRONG, FrameAugmentation
from affecthub.training.from_recipe import modalities_of
from affecthub.training.recipe import (
    RECIPES,
    AugmentationRecipe,
    Phase,
    Recipe,
    load_recipe,
    parse_run,
    recipe_names,
    write_recipe,
)

WRONG_FILES = {
    "trainign: {epochs: 3}": "unknown key 'trainign'; did you mean training?",
    "training: {epoch: 3}": "unknown key 'training.epoch'; did you mean training.epochs?",
    "augmentation: {audio: {snr: 15}}": "key 'augmentation.audio.snr'; did you mean augmentation.audio.snr_db?",
    "training: {phases: [{start_epoch: 0, encoder_layer: 2}]}": "'encoder_layer'; did you mean encoder_layers?",
    "training: {phases: [{encoder_layers: 2}]}": "start_epoch",
    "training: 3": "training: 3 is no section; expected `key: value` lines below it",
    "training:": "training: None is no section",
    "training: {epochs: three}": r'"training.epochs":\n.*int.*Got value: three',
    "training: {phases: [{start_epoch: soon}]}": r'"start_epoch":\n.*Got value: soon',
    "data: {class_path: Mld}": r"there is no data set 'Mld'; did you mean Meld",
    "data: {class_path: Meld, init_args: {rot: x}}": "unknown option --data.rot of Meld; did you mean --data.root?",
    "augmentation: {frames: {flip: 2}}": r"FrameAugmentation.flip=2.0 is out of range: give 0 \(off\) to 1",
    "training: {epochs: 3": "line 2, column 1: no readable YAML: .* mapping that begins in line 1; write",
    "- training": "it holds a list; write `key: value` lines",
    "": "holds no recipe: it is empty",
    "name: a\nname: b": "lines 1 and 2: two values are named 'name'",
    "data: {class_path: Meld, init_args: [root]}": "data.init_args",
}
WRONG_COMMANDS = {
    "--trainin.epochs=3": "unknown option --trainin.epochs; did you mean --training.epochs?",
    "--training.epoch=3": "unknown option --training.epoch; did you mean --training.epochs?",
    "--training={epochs: 3, epohs: 2}": "unknown option --training.epohs; did you mean --training.epochs?",
    "--training.phases=[{start_epoch: 0, layers: 2}]": "training.phases: unknown key 'layers'",
    "--resum": "unknown option --resum; did you mean --resume?",
    "--epochs=3": "unknown option --epochs",
    "--training.epochs=three": r'"training.epochs":\n.*Got value: three',
    "--inputs.preload=maybe": r'"inputs.preload":\n.*Got value: maybe',
    "--recipe=quickstrat": "there is no recipe 'quickstrat'; did you mean quickstart?",
    "--recipe=meld_txt": "did you mean meld_text?",
    "--recipe=absent.yaml": "there is no recipe 'absent.yaml'.* or give the path of a .yaml file",
    "--data=Mled": "there is no data set 'Mled'; did you mean Meld? Data sets: ",
    "--data=Genex --data.evry=3": "unknown option --data.evry of Genex; did you mean --data.every?",
    "--data.every=3": "unknown option --data.every of SampleMeld",
    "--inputs.num_frames=0": "inputs.num_frames=0: it has to be above 0",
    "--inputs.max_seconds=.nan": "inputs.max_seconds=nan: it has to be above 0",
    "--training.epochs=-3": "training.epochs=-3: it has to be 1 or more",
    "--training.batch_size=0": "training.batch_size=0: it has to be 1 or more",
    "--training.gradient_accumulation=0": "training.gradient_accumulation=0: it has to be 1 or more",
    "--training.learning_rate=-1e-3": "training.learning_rate=-0.001: it has to be above 0",
    "--training.encoder_learning_rate=0": "training.encoder_learning_rate=0.0: it has to be above 0",
    "--training.learning_rate=.nan": "training.learning_rate=nan: it has to be above 0",
    "--training.warmup=-1": "training.warmup=-1.0: it has to be 0 or more",
    "--training.weight_decay=.inf": "training.weight_decay=inf: it has to be 0 or more",
    "--training.patience=0": "training.patience=0: it has to be 1 or more",
    "--training.min_delta=-1": "training.min_delta=-1.0: it has to be 0 or more",
    "--training.num_workers=-1": "training.num_workers=-1: it has to be 0 or more",
    "--training.seed=-1": "training.seed=-1: it has to be 0 or more, up to 4294967295",
    "--training.scheduler=cosin": "training.scheduler=cosin: did you mean cosine? Choose one of linear, ",
    "--training.report_to=[wandd]": "training.report_to=wandd: did you mean wandb? Choose one of ",
    "--training.phases=[{start_epoch: -1}]": "training.phases: start_epoch=-1: it has to be 0 or more",
    "--training.phases=[{start_epoch: 0, encoder_layers: -2}]": "encoder_layers=-2: it has to be 0 or more",
    "--training.phases=[{start_epoch: 0, encoder_layers: some}]": "Given value: some",
    "--training.phases=[{start_epoch: 1}, {start_epoch: 1}]": r"start_epoch \[1, 1\]: each phase needs one of its own",
    "--model.task_weights={emotion: -1}": "model.task_weights.emotion=-1.0: it has to be 0 or more",
    "--data.limit=0": "data.limit=0: it has to be above 0",
    "--recipe": "--recipe needs a name, one of audio_visual_fusion, clips, clips_audio, clips_audio_pretrained, ",
    "meld_text": "unrecognized arguments: meld_text",
}


def refused(capsys, *arguments):
    """What a wrong command line prints; it exits with status 2."""
    with pytest.raises(SystemExit) as exit:
        parse_run(list(arguments))
    assert exit.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_parses_and_sets_what_it_says(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    written = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    parsed = recipe.to_dict()
    assert parsed["data"]["class_path"] == written["data"]["class_path"]
    assert written["data"].get("init_args", {}).items() <= parsed["data"]["init_args"].items()
    for section in ("inputs", "split", "model", "training"):
        for key, value in written.get(section, {}).items():
            assert parsed[section][key] == value, f"{section}.{key}"


def test_recipes_are_augmented_as_the_field_does():
    strong = ("frame_cnn", "frame_resnet")
    for name in recipe_names():
        recipe = load_recipe(name)
        augmentation = recipe.augmentation
        if isinstance(recipe.data, Genex) and name != "genex_quickstart":
            assert augmentation.frames == (STRONG if name in strong else LIGHT), name
        if name in ("meld_ensemble", "meld_late_fusion"):
            assert augmentation.audio == SPEECH and augmentation.frames == FrameAugmentation(), name
            assert augmentation.features.time_masks and augmentation.features.frequency_masks, name
    assert load_recipe("audio_visual_fusion").augmentation.audio == SPEECH
    assert load_recipe("quickstart").augmentation == AugmentationRecipe()


def test_the_recipes_that_the_readme_lists_are_shipped():
    readme = (RECIPES.parent / "README.md").read_text(encoding="utf-8")
    assert [name for name in recipe_names() if f"`{name}`" not in readme] == []


def test_the_ensemble_on_meld_has_the_values_of_the_reference_experiment():
    recipe = load_recipe("meld_ensemble")
    training = recipe.training
    assert recipe.model.architecture == "trimodal_ensemble"
    assert modalities_of(recipe.model) == ["text", "audio", "video"]
    assert (recipe.model.text_encoder, recipe.model.vision_encoder) == (
        "google-bert/bert-base-uncased",
        "openai/clip-vit-base-patch32",
    )
    assert (training.learning_rate, training.weight_decay) == (1e-4, 1e-5)
    assert (training.batch_size, training.gradient_accumulation, training.epochs) == (32, 1, 15)
    assert training.scheduler == "reduce_lr_on_plateau"
    assert training.scheduler_options == {"mode": "max", "factor": 0.5, "patience": 3}
    assert training.best_metric == "accuracy"
    assert training.phases == [Phase(start_epoch=0, encoder_layers=0)]
    assert training.precision == "auto"
    assert recipe.model.imbalance == "none"


def test_no_recipe_named_is_the_quick_start():
    run = parse_run([])
    assert run.recipe == load_recipe("quickstart")
    assert (run.output_dir, run.resume, run.eval_only) == (Path("runs/quickstart"), False, False)


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        (("--recipe=meld_text",), "runs/meld_text"),
        (("--recipe=meld_text", "--split.fold=1", "--training.seed=2"), "runs/meld_text-fold1-seed2"),
        (("--split.fold", "3", "--split.seed=5"), "runs/quickstart-fold3-split5"),
        (("--training.seed=2", "--output_dir=there"), "there"),
    ],
)
def test_no_fold_and_no_seed_takes_the_folder_of_another(options, folder):
    assert parse_run(list(options)).output_dir == Path(folder)


def test_a_run_of_another_seed_is_resumed_from_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = load_recipe("meld_text", "--training.epochs=3", "--training.seed=7")
    write_recipe(replace(kept, name="quickstart"), Path("runs/quickstart-seed7"))
    for options in (["--resume", "--training.seed=7"], ["--eval_only", "--training.seed", "7"]):
        run = parse_run(options)
        assert (run.recipe.training.epochs, run.output_dir) == (3, Path("runs/quickstart-seed7"))
    assert parse_run(["--resume"]).recipe == load_recipe("quickstart")


def test_values_are_overridden_in_every_spelling():
    recipe = load_recipe(
        "meld_ensemble",
        "--training.epochs=3",
        "--training.scheduler_options.patience=7",
        "--model.config.modality_dropout=0.5",
        "--augmentation.audio.snr_db=15",
        "--training.phases=[{start_epoch: 0, encoder_layers: 0}, {start_epoch: 2, encoder_layers: all}]",
        "--model.modalities=[text, audio]",
        "--training.patience=null",
        "--training.warmup=1e-1",
    )
    assert recipe.training.epochs == 3
    assert recipe.training.scheduler_options == {"mode": "max", "factor": 0.5, "patience": 7}
    assert recipe.model.config == {"modality_dropout": 0.5}
    assert recipe.augmentation.audio.snr_db == 15
    assert recipe.training.phases == [Phase(0, 0), Phase(2, "all")]
    assert recipe.model.modalities == ["text", "audio"]
    assert (recipe.training.patience, recipe.training.warmup) == (None, 0.1)
    assert recipe.training.batch_size == 32  # and the rest stays


@pytest.mark.parametrize("position", ["before", "after"])
def test_the_command_line_wins_over_the_file_wherever_it_stands(position):
    named, overridden = ["--recipe", "meld_text"], ["--training.epochs=9"]
    arguments = overridden + named if position == "before" else named + overridden
    recipe = parse_run(arguments).recipe
    assert (recipe.name, recipe.training.epochs) == ("meld_text", 9)


@pytest.mark.parametrize(
    "spelled",
    [
        ["--resume", "--eval-only", "--output-dir=there"],
        ["--resume", "--eval_only", "--output-dir", "there"],
        ["--resume=true", "--eval_only=true", "--output_dir", "there"],
        ["--resume", "true", "--eval_only", "True", "--output_dir", "there"],
        ["--eval-only", "true", "--output_dir", "there", "--resume"],
    ],
)
def test_switches_are_spelled_with_dash_or_underscore(spelled):
    run = parse_run(spelled)
    assert (run.resume, run.eval_only, run.output_dir) == (True, True, Path("there"))
    run = parse_run(["--resume", "false", "--eval_only=false"])
    assert (run.resume, run.eval_only) == (False, False)


@pytest.mark.parametrize(("content", "message"), WRONG_FILES.items())
def test_a_wrong_file_is_refused_with_its_name_the_key_and_the_remedy(content, message, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(content + "\n", encoding="utf-8")
    printed = refused(capsys, f"--recipe={path}")
    assert re.search(message.replace("?", r"\?"), printed), printed
    assert str(path) in printed
    assert "Traceback" not in printed


def test_a_file_that_is_no_text_is_refused(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"name: \xff\xfe\x00")
    assert f"{path}, line 1: b'\\xff\\xfe\\x00' is not utf-8-sig; save the file as UTF-8" in refused(
        capsys, f"--recipe={path}"
    )


@pytest.mark.parametrize(("argument", "message"), WRONG_COMMANDS.items())
def test_a_wrong_command_line_is_refused_with_the_key_and_the_remedy(argument, message, capsys):
    printed = refused(capsys, *re.split(r" (?=--)", argument))
    assert printed.startswith("train.py: ")
    assert re.search(message.replace("?", r"\?"), printed), printed
    assert "Traceback" not in printed


def test_help_explains_every_field(capsys):
    with pytest.raises(SystemExit) as exit:
        parse_run(["--help"])
    assert exit.value.code == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "Adam" in page and "Stop after so many epochs of the last phase without a better `best_metric`" in page
    assert "Gaussian noise is added at this signal-to-noise ratio in dB" in page
    assert f"Recipes: {', '.join(recipe_names())}." in page
    undocumented = re.findall(r"--(\S+) \S+ \((?:type|default)", page)
    assert undocumented == []


def test_a_recipe_survives_its_own_plain_form(tmp_path):
    recipe = load_recipe("quickstart", "--training.phases=[{start_epoch: 1, encoder_layers: 2}]", "--data.limit=5")
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(recipe.to_dict()), encoding="utf-8")
    assert load_recipe(str(path)) == recipe
    assert isinstance(recipe, Recipe)


@pytest.mark.parametrize("where", [["--output_dir={}"], ["--output-dir", "{}"]])
@pytest.mark.parametrize("switch", ["--resume", "--eval-only"])
def test_a_run_that_goes_on_keeps_its_recipe(where, switch, tmp_path):
    kept = load_recipe("meld_text", "--training.epochs=3", "--training.seed=7")
    write_recipe(kept, tmp_path)
    where = [part.format(tmp_path) for part in where]
    assert parse_run([switch, *where]).recipe == kept
    assert parse_run([switch, *where, "--training.seed=8"]).recipe.training.seed == 8
    assert parse_run([switch, *where, "--recipe=quickstart"]).recipe.name == "quickstart"
    assert parse_run(where).recipe.name == "quickstart"


@pytest.mark.parametrize("written", [("--data=Clips",), ("--data", "Clips")])
def test_another_data_set_takes_nothing_of_the_recipes_own(written):
    recipe = load_recipe("meld_text", *written, "--data.root=mine.csv", "--data.columns.text=words")
    assert recipe.data == Clips(root="mine.csv", columns={"text": "words"})
    assert recipe.split.accept == [] and recipe.model.architecture == "unimodal_baseline"


def test_data_sets_of_ones_own_are_told_apart_by_their_modules(tmp_path, monkeypatch):
    for module, field in (("one_lab", "speed: int = 1"), ("other_lab", "height: int = 2")):
        lines = ("from dataclasses import dataclass", "from affecthub.datasets_scripts.corpus import DataOptions", "")
        content = "\n".join([*lines, "@dataclass(frozen=True)", "class Twin(DataOptions):", f"    {field}", ""])
        (tmp_path / f"{module}.py").write_text(content, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_recipe("quickstart", "--data=one_lab.Twin").data.speed == 1
    recipe = load_recipe("quickstart", "--data=other_lab.Twin", "--data.height=3")
    assert recipe.data.height == 3
    type(recipe.data).__name__ = "Clips"
    written = recipe.to_dict()["data"]["class_path"]
    type(recipe.data).__name__ = "Twin"
    assert written == "other_lab.Twin"  # and not ours of that name


def test_a_recipes_data_set_takes_nothing_of_the_default_one():
    assert load_recipe("clips_audio", "--data.root=mine.csv").data == Clips(root="mine.csv")


def test_data_of_the_same_family_keep_what_the_recipe_says():
    recipe = load_recipe("physio_cross_attention", "--data=SampleGenex", "--data.seconds=6")
    assert (recipe.data.targets, recipe.data.seconds) == (["affect"], 6)
    assert recipe.split.accept == ["target_from_inputs"]
