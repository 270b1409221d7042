"""What frozen encoders gave, kept on disk from epoch to epoch and from run to run.

May import: as `training`.
"""
