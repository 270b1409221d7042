"""A tiny, random encoder of sound of each family that serves, saved with its feature extractor, as on the Hub."""

from pathlib import Path

import torch
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from .tiny_configs import LAYERS

CONVOLUTIONS = dict(conv_dim=[8, 8, 8], conv_kernel=[10, 8, 4], conv_stride=[5, 8, 4])  # 10 ms a step
POSITIONS = dict(num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)
WAVEFORM = dict(**LAYERS, **CONVOLUTIONS, **POSITIONS)
LAYER_NORM = dict(feat_extract_norm="layer", do_stable_layer_norm=True)
DATA2VEC = dict(num_conv_pos_embeddings=3, conv_pos_kernel_size=3, num_conv_pos_embedding_groups=2)
SPECTROGRAM = dict(num_mel_bins=40, max_length=128)
WHISPER = dict(
    **dict(d_model=32, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=37, num_mel_bins=16),
    **dict(decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=37, max_source_positions=100),
    **dict(vocab_size=99, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1),
)
FRAMES = Wav2Vec2FeatureExtractor(return_attention_mask=True)

FAMILIES = {
    "wav2vec2": (lambda: Wav2Vec2ForCTC(Wav2Vec2Config(**WAVEFORM, vocab_size=9)), FRAMES),
    "wav2vec2_large": (lambda: Wav2Vec2ForCTC(Wav2Vec2Config(**WAVEFORM, **LAYER_NORM, add_adapter=True)), FRAMES),
    "hubert": (lambda: HubertModel(HubertConfig(**WAVEFORM)), FRAMES),
    "mhubert": (lambda: HubertModel(HubertConfig(**WAVEFORM, **LAYER_NORM, conv_pos_batch_norm=True)), FRAMES),
    "wavlm": (lambda: WavLMModel(WavLMConfig(**WAVEFORM)), Wav2Vec2FeatureExtractor(do_normalize=False)),
    "wavlm_large": (lambda: WavLMModel(WavLMConfig(**WAVEFORM, **LAYER_NORM)), FRAMES),
    "data2vec": (lambda: Data2VecAudioModel(Data2VecAudioConfig(**LAYERS, **CONVOLUTIONS, **DATA2VEC)), FRAMES),
    "whisper": (
        lambda: WhisperForConditionalGeneration(WhisperConfig(**WHISPER)),
        WhisperFeatureExtractor(16, chunk_length=2),
    ),
    "ast": (lambda: ASTForAudioClassification(ASTConfig(**LAYERS, **SPECTROGRAM)), ASTFeatureExtractor(**SPECTROGRAM)),
    "w2v_bert": (
        lambda: Wav2Vec2BertModel(Wav2Vec2BertConfig(**LAYERS, feature_projection_input_dim=32)),
        SeamlessM4TFeatureExtractor(16, num_mel_bins=16),
    ),
}
"""Family -> what makes its model, with a head where the Hub's usual checkpoint has one, and its feature extractor."""


def save_encoder(family: str, folder: Path) -> str:
    """Save a family's model, with weights large enough that what it hears matters; the folder's name."""
    make, extractor = FAMILIES[family]
    torch.manual_seed(0)
    model = make()
    for value in model.parameters():
        value.data = value.data * 3 if value.dim() == 2 else value.data
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return str(folder)
