"""Builders: recordings on disk become rows and a manifest. Also the synthetic sample corpora.

May import: `affecthub.media`.
"""
