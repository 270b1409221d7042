"""Training recipes (YAML); `train.py --recipe NAME` reads `NAME.yaml` here."""
