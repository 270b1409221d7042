"""The folder that strangers load: saving, the model card, publishing.

May import: all other rooms.
"""
