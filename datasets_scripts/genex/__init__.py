"""GENEX and other iMotions studies: exported tables and recordings become rows, one a frame.

May import: `affecthub.media`, and what stands beside this folder.
"""
