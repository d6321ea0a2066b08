"""The workloads on large files: what is read, copied up, changed and written where a filesystem has little else to do."""

import json
import os

from .host import drop_caches, sync
from .images import size_name
from .workload import Workload, cold, warm

CLONING = ("xfs", "btrfs")
SIZES = tuple(4096 << (2 * i) for i in range(11))  # 4 KiB, 16 KiB, ... 4 GiB


def sizes(largest):
    return tuple(size for size in SIZES if size <= largest)


def file_of(size):
    return "sizes/" + size_name(size)


def page_cache():
    """Bytes of file pages that the machine holds."""
    with open("/proc/meminfo", encoding="ascii") as file:
        facts = dict(line.split(":") for line in file)
    return sum(int(facts[what].split()[0]) << 10 for what in ("Cached", "Buffers")) - (
        int(facts["Shmem"].split()[0]) << 10
    )


def reading(size):
    """Reads of one large file: of the lower, of the upper, and of a read-only mount."""
    lower, upper, many, few = file_of(size), "upper-file", 100_000, 2000
    shared = {"image": "sizes", "in_place": True}

    def of(name, workload, *words):
        return lambda s: s.seconds(workload, s.inside(name), *words)

    def rows(name, title, wanted, **more):
        title += ", " + size_name(size) + "iB"
        read = of(name, "sequential-read", 128 << 10)
        cold_wanted, wanted = wanted
        yield Workload(f"sequential read of {title}, cold", cold(read), wanted=cold_wanted, **more)
        yield Workload(f"sequential read of {title}, warm", warm(read), wanted=wanted, **more)
        yield Workload(f"{few:,} random 4 KiB reads of {title}, cold", cold(of(name, "random-read", few)),
                       wanted=wanted, **more)  # fmt: skip
        # After a sequential read, so that everything is there.
        filled = lambda s: (read(s), of(name, "random-read", many)(s))[1]
        yield Workload(f"{many:,} random 4 KiB reads of {title}, warm", filled, wanted=wanted, **more)
        mapped = of(name, "mapped-random-read", many)
        yield Workload(f"{many:,} pages of a mapping of {title}, warm", lambda s: (read(s), mapped(s))[1],
                       wanted=wanted, quick=False, **more)  # fmt: skip

    near = ((1.05, 1.05), (1.05, 1.05))
    yield from rows(lower, "a lower file", ((1.25, 1.25), ()), sharing="large, lower", **shared)
    in_upper = list(rows(upper, "an upper file", near, sharing="large, upper", **shared))
    in_upper[0].prepare = lambda s: s.worker("sequential-write", s.inside(upper), size)
    for row in in_upper:
        row.quick = False
        yield row
    for row in rows(lower, "a lower file, read-only", near, sharing="large, lower", read_only=True, **shared):
        row.quick = False
        yield row


def ready(name):
    """The lower's file is in the page cache: what is measured is the copy."""

    def prepare(s):
        s.worker("sequential-read", s.inside(name), 128 << 10)
        sync(s.host)

    return prepare


def copy_up(all_sizes, table_size):
    shared = {"image": "sizes", "in_place": True, "sharing": "copy-up"}
    for size in all_sizes:
        name = file_of(size)
        write = lambda s, name=name: s.seconds("first-write", s.inside(name))
        wanted = (0.3, 0.3) if size == table_size else ()
        title = f"first write to a lower file of {size_name(size)}iB"
        yield Workload(title, write, ready(name), wanted=wanted, rounds=0.6, **shared)
    shared["sharing"] = None
    name = file_of(table_size)
    chmod = lambda s: s.seconds("chmod", s.inside(name))
    yield Workload(f"chmod of a lower file of {size_name(table_size)}iB", chmod, ready(name),
                   wanted=(0.02, 0.02), quick=False, **shared)  # fmt: skip


def cloning_up(size):
    """Where files can share blocks, nobody has to copy any."""
    name = file_of(size)
    for filesystem in CLONING:
        yield Workload(f"first write to a lower file of {size_name(size)}iB, on {filesystem}",
                       lambda s: s.seconds("first-write", s.inside(name)), ready(name),
                       image="sizes-" + filesystem, in_place=True, rounds=0.6, quick=False)  # fmt: skip


def writing(size):
    shared = {"image": "sizes", "in_place": True, "sharing": "large, writing"}
    sequential = lambda s: s.seconds("sequential-write", s.inside("written"), size)
    title = f"sequential write of {size_name(size)}iB"
    yield Workload(title, sequential, wanted=(1.1, 1.1), **shared)
    scattered = lambda s: s.seconds("random-write", s.inside("written"), 40_000)
    yield Workload("40,000 random 4 KiB writes", scattered, lambda s: sync(s.host), wanted=(1.1, 1.1), **shared)


def two_mounts():
    """Two mounts of one image are read from end to end; how much memory their pages take."""

    def measure(s):
        with s.second_mount() as second:
            drop_caches(s.host)
            before = page_cache()
            s.worker("read-tree", s.path)
            once = page_cache() - before
            s.worker("read-tree", second or s.path)
            twice = page_cache() - before
        return {name: max(0, value) / (1 << 20) for name, value in zip(titles, (once, twice))}

    titles = ("page cache of one mount read", "page cache of two mounts of one image read")
    for read_only in (False, True):
        suffix = ", read-only" if read_only else ""

        def named(s, suffix=suffix):
            return {name + suffix: value for name, value in measure(s).items()}

        yield Workload(titles[1] + suffix, named, unit="MiB", read_only=read_only, rounds=0.2, quick=False,
                       suits=lambda s: s.mode != "unprivileged")  # fmt: skip


def latency(size):
    """Lookups in another directory while the largest file is copied up, on ext4 while cp copies it; and while cp copies
    as much on the filesystem below the mount, with which the mount has nothing to do."""
    what = {"p50": 0, "p99": 1_000, "p99.9": 10_000, "max": 0}  # and how many lookups that needs
    name = file_of(size)

    def meanwhile(s, title, *command):
        said = json.loads(s.worker("lookups-meanwhile", s.path, "other", 50, name, *command))
        figures = {f"{title}, {each}": said[each] for each, needed in what.items() if said["lookups"] >= needed}
        return figures, said["copy"]

    def copying(s, title, file, to):
        figures, _ = meanwhile(s, title, "cp", file, to)
        os.remove(to)
        return figures

    def copying_up(s):
        if s.kind == "tree":
            return copying(s, up, s.inside(name), s.inside("copy"))
        figures, seconds = meanwhile(s, up)
        return figures | {f"copy-up of {size_name(size)}iB to its end": seconds}

    def copying_beside(s):
        file = os.path.join(s.host, "beside")
        figures = copying(s, beside, file, os.path.join(s.host, "copy"))
        os.remove(file)
        return figures

    def ready_beside(s):
        s.worker("sequential-write", os.path.join(s.host, "beside"), size)
        sync(s.host)

    up, beside = (f"lookup while {size_name(size)}iB {how}" for how in ("copies up", "is copied beside the mount"))
    shared = {"image": "sizes", "in_place": True, "rounds": 0.6, "quick": False}
    yield Workload(up, copying_up, **shared)
    yield Workload(beside, copying_beside, ready_beside, **shared)
