"""Answers: what people pass becomes samples, samples become scores; the pipeline travels with each model.

May import: `media`, `processing`, `modeling`.
"""
