"""Any labelled recordings: a table, a folder, or a data set of `datasets` becomes rows and a manifest.

May import: `affecthub.media` and `affecthub.datasets_scripts`.
"""
