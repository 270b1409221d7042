"""Architectures: one `configuration_` and one `modeling_` file each, and the few blocks they share.

These files travel with every published model, so each imports public libraries and its own siblings only.
"""
