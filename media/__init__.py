"""Decoding: a file becomes frames and samples. Knows nothing about emotion.

May import: public libraries only.
"""
