"""Where does sample data come from? A seeded generator that knows who is who.

`Sample` tells a year of a small shop, about 200 customers, for the demo and the tests; `desk` has its colleagues work
on deals, tickets and tasks; `SEGMENTS` are those of its customers; `bulk` makes any number of small events for
benchmarks. All events are marked as sample data by their sources, which begin with `sample/`. The same seed gives the
same events on every machine and version of Python.
"""

from adapters.sample.bulk import bulk, bulk_lines
from adapters.sample.desk import SEGMENTS, Asked, desk
from adapters.sample.year import Sample

__all__ = ["SEGMENTS", "Asked", "Sample", "bulk", "bulk_lines", "desk"]
