"""Rows that hold their media: written as shards, and read or streamed from them, whatever data set they came from.

May import: `affecthub.media`, and what stands beside this folder.
"""
