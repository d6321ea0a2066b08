"""All workloads, and the images that they run on."""

from . import builds, filesystem, large, scale, tools
from .filesystem import Materials
from .images import Cloning, Debian, Sizes, SmallDebian

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
MATERIALS = "materials"


def catalogue(options):
    """({name: image}, [workload])"""
    cache, binaries, small = options.cache, options.bin, options.small
    largest = int(options.largest[:-1]) * UNITS[options.largest[-1]]
    table_size = min(largest, 1 << 30)  # of the rows that the table has
    files, depth = (10_000, 20) if small else (1_000_000, 500)
    depths = (1, 20) if small else scale.DEPTHS
    materials = Materials(cache, small)
    images = {
        "debian": (SmallDebian if small else Debian)(cache, binaries),
        "sizes": Sizes(cache, binaries, large.sizes(largest)),
        **{f"sizes-{name}": Cloning(cache, binaries, name, table_size) for name in large.CLONING},
        "million": scale.Million(cache, binaries, files, depth),
        "files": tools.ManyFiles(cache, binaries, 1000 if small else 100_000),
        MATERIALS: materials,
    }
    images |= {f"deep-{n}": scale.Deep(cache, binaries, n) for n in depths}
    workloads = [
        *filesystem.reading(),
        *filesystem.writing(materials),
        *large.reading(table_size),
        *large.copy_up(large.sizes(largest), table_size),
        *large.cloning_up(table_size),
        *large.writing(table_size),
        *large.latency(largest),
        *large.two_mounts(),
        *scale.lookups(depths),
        *scale.many_files("million", files, depth),
        *tools.workloads(min(largest, 1 << 30), 500 if small else 50_000),
        *builds.workloads(min(largest, 1 << 30) >> 20, 500 if small else 50_000),
    ]
    return images, workloads


def provide(images, workloads, subjects):
    """Makes what the run needs, so that no measurement waits for it."""
    images.pop(MATERIALS).provide()
    kinds = {make(name, "/nonexistent").kind for name, make in subjects.items()}
    for workload in workloads:
        for kind in sorted(kinds.intersection(workload.kinds)):
            if kind == "tool":
                images[workload.image].provide()
            else:
                images[workload.image].template(kind)
