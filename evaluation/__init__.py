"""Figures: metrics, baselines, ablation, pictures. Reads a model's outputs; never imports `training`.

May import: `modeling` and all to its left.
"""

RECIPE_FILE = "recipe.yaml"
"""In a run's folder: the recipe that it was started with, overrides included."""
