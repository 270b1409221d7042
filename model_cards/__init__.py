"""The model-card template, and rendered cards."""
