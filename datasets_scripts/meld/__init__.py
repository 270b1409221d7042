"""MELD: the authors' tables, archives and clips become rows, one an utterance.

May import: `affecthub.media`, and what stands beside this folder.
"""
