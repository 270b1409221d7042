"""What a finished model is like inside and costs: it is asked again, on samples of its data or made ones.

May import: `media`, `datasets_scripts`, `processing`, `modeling`, `evaluation`, `training`.
"""
