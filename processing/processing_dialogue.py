"""Processor of the dialogue model: an utterance and the turns around it, each with what it holds of the modalities."""

from collections.abc import Callable, Sequence

import torch
from transformers import BatchFeature, PreTrainedTokenizerBase

from .feature_extraction_log_mel import LogMelFeatureExtractor
from .processing_trimodal import TrimodalProcessor
from .turns import Turn, fold, holds_anything, speaker_slots, window_of
from .video_processing_clip_frames import ClipFramesVideoProcessor


class DialogueProcessor(TrimodalProcessor):
    """A `TrimodalProcessor` whose `encode` gives the turns of a conversation an axis of their own.

    Its call takes utterances that each stand by themselves, as that of a `TrimodalProcessor`.

    Args:
        turns_before: turns before the one that is judged.
        turns_after: turns after it; 0 for live use.
        num_speakers: speakers that are told apart, of whom the last stands for those whom nobody knows.
        kwargs: as `TrimodalProcessor`.
    """

    turns_apart = True

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase | None = None,
        video_processor: ClipFramesVideoProcessor | None = None,
        feature_extractor: LogMelFeatureExtractor | None = None,
        turns_before: int = 8,
        turns_after: int = 0,
        num_speakers: int = 8,
        **kwargs,
    ):
        super().__init__(tokenizer, video_processor, feature_extractor, **kwargs)
        self.turns_before, self.turns_after, self.num_speakers = turns_before, turns_after, num_speakers

    @property
    def model_input_names(self) -> list[str]:
        """Keys that `encode` may return."""
        return [*super().model_input_names, "speaker_ids"]

    def arrange(self, samples: Sequence[Turn], encode: Callable[[Sequence[Turn]], BatchFeature]) -> BatchFeature:
        """Model inputs of samples and of the turns around them; a turn that holds nothing is as one that is not there.

        Returns:
            What `encode` gives of a turn, with an axis of turns (batch, turns, ...), the sample itself at
            `turns_before`, zeros where there is no turn; and speaker_ids (batch, turns), see `speaker_slots`.
        """
        windows = [window_of(sample, self.turns_before, self.turns_after) for sample in samples]
        present = self.turns_before
        real = torch.tensor([[turn is not None and holds_anything(turn) for turn in window] for window in windows])
        turns = [turn for window in windows for turn in window if turn is not None and holds_anything(turn)]
        speakers = [
            speaker_slots(
                [None if turn is None else turn.get("speaker") for turn in window], present, self.num_speakers
            )
            for window in windows
        ]
        batch = {key: fold(rows, real) for key, rows in encode(turns).items()}
        return BatchFeature({**batch, "speaker_ids": torch.tensor(speakers)})


__all__ = ["DialogueProcessor"]
