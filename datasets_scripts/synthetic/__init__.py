"""Rendered people whose best possible accuracy is known: a corpus in MELD's layout, and a study in GENEX's.

May import: `affecthub.media`, and what stands beside this folder.
"""
