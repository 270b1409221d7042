"""A run: recipe, augmentation, batches, phases and judgement around the stock `Trainer`.

May import: `media`, `datasets_scripts`, `processing`, `modeling`, `evaluation`.
"""
