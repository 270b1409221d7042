"""A run: recipe, augmentation, collator, phases and callbacks around the stock `Trainer`.

May import: `media`, `datasets_scripts`, `processing`, `modeling`.
"""
