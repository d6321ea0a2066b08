"""All workloads, and the images that they run on."""

from . import filesystem
from .filesystem import Materials
from .images import Debian, SmallDebian

MATERIALS = "materials"


def catalogue(options):
    """({name: image}, [workload])"""
    binaries = options.bin
    images = {"debian": (SmallDebian if options.small else Debian)(options.cache, binaries)}
    materials = Materials(options.cache, options.small)
    workloads = [*filesystem.reading(), *filesystem.writing(materials)]
    images[MATERIALS] = materials
    return images, workloads


def provide(images, workloads, subjects):
    """Makes what the run needs, so that no measurement waits for it."""
    images[MATERIALS].provide()
    del images[MATERIALS]
    kinds = {make(name, "/nonexistent").kind for name, make in subjects.items()}
    for name in dict.fromkeys(w.image for w in workloads):
        for kind in sorted(kinds):
            images[name].template(kind)
