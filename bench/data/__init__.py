"""Files and generators in, one `Dataset` out: `load` for the data, `available` for the names."""

from bench.data.dataset import Dataset, Source, Split
from bench.data.loading import available, load

__all__ = ["Dataset", "Source", "Split", "available", "load"]
