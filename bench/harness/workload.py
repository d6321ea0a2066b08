"""What a workload is."""

import dataclasses
from collections.abc import Callable

from .host import drop_caches


@dataclasses.dataclass
class Workload:
    """`measure(subject)` gives a figure (or {what: figure}, of several rows); what has to be there first is made by
    `prepare(subject)`. Workloads that only read share a filesystem, those of one `sharing`; any other gets a new one."""

    name: str
    measure: Callable
    prepare: Callable | None = None
    image: str = "debian"
    sharing: str | None = None
    read_only: bool = False  # the mount is
    unit: str = "s"
    wanted: tuple = ()  # ratios to the kernel's overlayfs: of a store mount, of a stack
    at_most: dict = dataclasses.field(default_factory=dict)  # {row: what a store mount may take, in the row's unit}
    trips: bool = False  # its time is that of round trips to the daemon
    rounds: float = 1  # a part of --rounds, for those that take long
    quick: bool = True  # --quick runs it too
    kinds: tuple = ("tree", "stack", "store")  # of subjects that do it
    suits: Callable | None = None  # which of these can
    in_place: bool = False  # the image is too large to be copied for each

    def group(self):
        if self.sharing is None:
            return self.name
        return (self.image, self.sharing, self.read_only)


def cold(measure):
    def after_dropping(subject):
        drop_caches(subject.host)
        return measure(subject)

    return after_dropping


def warm(measure):
    """After the same once before."""

    def again(subject):
        measure(subject)
        return measure(subject)

    return again
