"""Configuration of the dialogue model: an utterance, and what the turns around it add."""

from huggingface_hub.dataclasses import strict

from .configuration_trimodal import TrimodalConfig


@strict
class DialogueConfig(TrimodalConfig):
    """A `TrimodalConfig` with the layers that attend over turns.

    Args:
        turns_before: turns of the conversation before the one that is judged.
        turns_after: turns after it; 0 for live use, more for analysis.
        num_speakers: speakers that are told apart, counted from the one who is judged; the last stands for those whom
            nobody knows.
        dialogue_size: size of a turn's token.
        num_dialogue_layers: transformer layers over the turns.
        num_attention_heads: heads of each.
        dialogue_dropout: dropout on the tokens and inside the layers.
        turn_loss_weight: weight of the loss of what the turn says by itself, without the others.
    """

    model_type = "dialogue"

    turns_before: int = 8
    turns_after: int = 0
    num_speakers: int = 8
    dialogue_size: int = 64
    num_dialogue_layers: int = 1
    num_attention_heads: int = 4
    dialogue_dropout: float | int = 0.3
    turn_loss_weight: float | int = 1.0

    def validate_dialogue(self) -> None:
        """Refuse windows without a turn, and sizes that heads cannot share."""
        for name, least in {"turns_before": 0, "turns_after": 0, "num_speakers": 3, "num_dialogue_layers": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: {least} or more are needed.")
        if not self.turns_before + self.turns_after:
            raise ValueError(
                "turns_before=0, turns_after=0: a dialogue model needs turns around the one that it judges; without "
                "any, take trimodal_late_fusion."
            )
        if self.num_attention_heads < 1 or self.dialogue_size % self.num_attention_heads:
            raise ValueError(
                f"dialogue_size={self.dialogue_size} cannot be shared by num_attention_heads="
                f"{self.num_attention_heads}: choose a multiple."
            )
        if not 0 <= self.turn_loss_weight < float("inf"):
            raise ValueError(f"turn_loss_weight={self.turn_loss_weight}: a number of at least 0 is needed.")


__all__ = ["DialogueConfig"]
