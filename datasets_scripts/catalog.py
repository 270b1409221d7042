"""The data sets by the names that the command line knows; one line a data set.

One of your own needs no line here: a recipe names it by its import path, `--data=my_package.my_module.MyData`.
"""

from affecthub.datasets_scripts.clips.corpus import Clips
from affecthub.datasets_scripts.corpus import DataOptions
from affecthub.datasets_scripts.genex.corpus import Genex
from affecthub.datasets_scripts.meld.corpus import Meld
from affecthub.datasets_scripts.synthetic.corpora import SampleGenex, SampleMeld

DATASETS: dict[str, type[DataOptions]] = {
    "clips": Clips,
    "meld": Meld,
    "genex": Genex,
    "sample_meld": SampleMeld,
    "sample_genex": SampleGenex,
}

DEFAULT = SampleMeld
"""What a recipe takes that names none: it needs no folder."""
