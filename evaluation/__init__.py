"""Figures: metrics, baselines, ablation, pictures. Reads a model's outputs; never imports `training`.

May import: `modeling` and all to its left.
"""
