"""transformers' own tests of a model and of a configuration, over every architecture at tiny size.

    pip download --no-binary transformers --no-deps transformers==VERSION  # the one that is installed
    tar xzf transformers-*.tar.gz && pip install parameterized
    python benchmarks/common_tests.py transformers-*/ [--only NAME]

The tests come in the source distribution of transformers, and not in its wheel; of the folders beside them, which it
lacks, nothing is needed but two empty classes and an empty dictionary. It prints each test that failed, with the
reason, and how many passed, failed and were skipped.
"""

import argparse
import importlib
import sys
import unittest
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from unittest import mock

import torch
import transformers.utils
from transformers import PreTrainedConfig, PreTrainedModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from affecthub.architectures import architecture_named  # noqa: E402
from affecthub.modeling.base import AffectPreTrainedModel  # noqa: E402
from tests.modeling.conftest import CONFIGS, batch_of  # noqa: E402

PACKAGE = "transformers_tests"
OF_CLASSIFIERS = ("test_training", "test_model_outputs_equivalence")
"""Tests, by how they begin, that a trunk cannot take: it has no loss, and the second subtracts its bool `presence`."""

OF_ONE_ENCODER = ("test_hidden_states_output", "test_retain_grad_hidden_states_attentions")
"""Tests that ask for the field `hidden_states`; ours are `text_hidden_states` and so on (tests/modeling)."""


def main(arguments: list[str] | None = None) -> None:
    """Run the tests; the exit status is the number of failures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the unpacked source distribution of the installed transformers")
    parser.add_argument("--only", default="", help="a part of the tests' names")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    models, configurations = load_tests(options.folder / "tests")
    loader = unittest.TestLoader()
    cases = [case_of(name, make, models, configurations) for name, make in CONFIGS.items()]
    tests = [case(test) for case in cases for test in loader.getTestCaseNames(case)]
    tests = [test for test in tests if options.only in test.id()]
    result = Counted()
    unittest.TestSuite(tests).run(result)
    for name, reason in result.reasons:
        print(f"{name}: {reason}")
    print(", ".join(f"{result.counts[kind]} {kind}" for kind in ("passed", "failed", "skipped")))
    raise SystemExit(min(result.counts["failed"], 1))


def load_tests(folder: Path) -> tuple[ModuleType, ModuleType]:
    """The modules of the folder that test models and configurations."""
    if not (folder / "test_modeling_common.py").is_file():
        raise SystemExit(f"{folder}: there is no test_modeling_common.py; unpack the source distribution there.")
    package = ModuleType(PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules[PACKAGE] = package
    absent = {
        "exporters.test_export": {"ExportTesterMixin": type("ExportTesterMixin", (), {})},
        "generation.test_utils": {"GenerationTesterMixin": type("GenerationTesterMixin", (), {})},
        "utils.test_configuration_utils": {"config_common_kwargs": {}},
    }
    for path, content in absent.items():
        for name in (path.split(".")[0], path):
            sys.modules[f"{PACKAGE}.{name}"] = ModuleType(f"{PACKAGE}.{name}")
        vars(sys.modules[f"{PACKAGE}.{path}"]).update(content)
    transformers.utils.direct_transformers_import = lambda path: transformers  # else the folder would be the library
    names = ("test_modeling_common", "test_configuration_common")
    models, configurations = (importlib.import_module(f"{PACKAGE}.{name}") for name in names)
    # it takes our name `audio_encoder` for a configuration
    vars(models)["set_config_for_less_flaky_test"] = lambda config: None
    return models, configurations


def case_of(
    name: str, make_config: Callable[..., PreTrainedConfig], models: ModuleType, configurations: ModuleType
) -> type[unittest.TestCase]:
    """The test case of one architecture."""
    config = make_config()
    architecture = architecture_named(config.model_type)
    keys = "input_values" if architecture.model_class.main_inputs["audio"] == "input_values" else "input_features"

    class Tester:
        """What the tests ask for beside the classes."""

        attends: str | None = None
        batch_size, is_training, num_hidden_layers, hidden_size, seq_length = 4, True, 2, 32, 9

        def prepare_config_and_inputs_for_common(self) -> tuple:
            """A configuration and a batch of its own."""
            return make_config(attn_implementation=self.attends), batch_of(config.modalities, audio=keys)

        def prepare_config_and_inputs(self) -> tuple:
            """Likewise."""
            return self.prepare_config_and_inputs_for_common()

    class Case(models.ModelTesterMixin, unittest.TestCase):
        all_model_classes = (architecture.model_class, architecture.classifier_class)
        _is_composite = architecture.classifier_class._supports_sdpa  # of several that attend
        has_attentions = False  # they have names of their own: text_attentions and so on; tests/modeling asks for them
        test_resize_embeddings = False  # of a text encoder, which is another model

        def setUp(self) -> None:
            torch.manual_seed(0)
            if self._testMethodName in OF_ONE_ENCODER:
                self.skipTest("hidden states of each encoder have a field of their own")
            if self._testMethodName == "test_model_get_set_embeddings" and config.modalities[0] != "text":
                self.skipTest("it asks for nn.Embedding; the tests of the library's own vision models leave it out")
            if self._testMethodName.startswith(OF_CLASSIFIERS):
                self.all_model_classes = (architecture.classifier_class,)
            self.model_tester = Tester()
            if self._testMethodName == "test_capture_outputs_decorator":
                self.model_tester.attends = "eager"  # attentions of others are refused
            self.config_tester = configurations.ConfigTester(
                self, config_class=architecture.config_class, has_text_modality=False
            )

        def _prepare_for_class(self, inputs: dict, model_class: type, return_labels: bool = False) -> dict:
            inputs = super()._prepare_for_class(inputs, model_class)
            if return_labels and model_class is architecture.classifier_class:
                inputs["labels"] = torch.zeros(self.model_tester.batch_size, dtype=torch.long)
            return inputs

        def test_reverse_loading_mapping(self) -> None:
            """With weights saved under the names that transformers gives them, which ours keep as they are."""
            with mock.patch.object(AffectPreTrainedModel, "save_pretrained", PreTrainedModel.save_pretrained):
                super().test_reverse_loading_mapping()

        def test_config(self) -> None:
            """All that ConfigTester asks."""
            self.config_tester.run_common_tests()

    Case.__name__ = Case.__qualname__ = name
    return Case


class Counted(unittest.TestResult):
    """How many passed, failed and were skipped, and why those that failed did."""

    def __init__(self):
        super().__init__()
        self.counts, self.reasons = Counter(), []

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        """Of unittest."""
        self.counts["passed"] += 1

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        """Of unittest."""
        self.counts["skipped"] += 1

    def addFailure(self, test: unittest.TestCase, error: tuple) -> None:  # noqa: N802
        """Of unittest."""
        self.counts["failed"] += 1
        kind, value, _ = error
        self.reasons.append((test.id().partition(".")[2], f"{kind.__name__}: {' '.join(str(value).split())[:300]}"))

    def addError(self, test: unittest.TestCase, error: tuple) -> None:  # noqa: N802
        """Of unittest."""
        self.addFailure(test, error)

    def addSubTest(self, test: unittest.TestCase, part: unittest.TestCase, error: tuple | None) -> None:  # noqa: N802
        """Of unittest: a part of a test; the test fails once with each part that does."""
        if error is not None:
            self.addFailure(part, error)


if __name__ == "__main__":
    main()
