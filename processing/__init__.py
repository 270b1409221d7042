"""Processors: text, samples and frames become model inputs; one extractor a modality, one processor a family.

These files travel with every published model, so each imports public libraries and its own siblings only.
"""
