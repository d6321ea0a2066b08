"""Many layers and many files: what a lookup costs in 1 to 500 layers; an image of 1,000,000 files in 500 layers."""

import os
import time

from .host import drop_caches
from .images import Image
from .layers import LayerTar
from .workload import Workload

DEPTHS = (1, 2, 10, 50, 100, 250, 500)
NAMES = 5000


class Deep(Image):
    """One directory whose files are spread over the layers."""

    name = "deep"
    size = 2 << 30

    def __init__(self, cache, binaries, depth):
        self.depth = depth
        super().__init__(cache, binaries)
        self.path += f"-{depth}"

    def make_layers(self, folder):
        for number in range(1, self.depth + 1):
            with LayerTar(os.path.join(folder, f"{number}.tar")) as layer:
                layer.directory("dir")
                for i in range(number - 1, NAMES, self.depth):
                    layer.file(f"dir/file{i:06}", b"content\n")
        with open(os.path.join(folder, "names"), "w", encoding="ascii") as file:
            file.writelines(f"file{i:06}\n" for i in range(NAMES))


def drop_names(subject):
    """Names and inodes alone: what is measured is the filesystem's own work, not the disk's."""
    drop_caches(subject.host, "2")


def lookups(depths):
    for depth in depths:

        def measure(s):
            names = os.path.join(s.image.path, "names")
            s.worker("stat-listed", s.inside("dir"), names)
            drop_names(s)
            found = s.seconds("stat-listed", s.inside("dir"), names)
            missing = s.seconds("missing", s.inside("dir"), NAMES)
            title = f"in {s.image.depth} layer{'s' if s.image.depth > 1 else ''}"
            return {f"lookup {title}": found / NAMES, f"negative lookup {title}": missing / NAMES}

        yield Workload(f"lookup in {depth} layer{'s' if depth > 1 else ''}", measure, image=f"deep-{depth}", rounds=0.6, quick=False)


class Million(Image):
    """Files of a few contents, so that making it takes minutes, not hours."""

    name = "million"
    size = 16 << 30

    def __init__(self, cache, binaries, files, depth):
        self.files, self.depth = files, depth
        super().__init__(cache, binaries)
        self.path += f"-{files}-{depth}"

    def make_layers(self, folder):
        each = self.files // self.depth
        for number in range(1, self.depth + 1):
            with LayerTar(os.path.join(folder, f"{number}.tar")) as layer:
                for i in range(each):
                    where = f"top{number % 50}/layer{number}/part{i // 100}"
                    layer.file(f"{where}/file{i:05}", b"content %d\n" % (i % 64))


def memory(pid):
    """Bytes: all that is resident, and the part that is no file's."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        facts = dict(line.rstrip("\n").split(":", 1) for line in file)
    return tuple(int(facts[what].split()[0]) << 10 for what in ("VmRSS", "RssAnon"))


def many_files(image, files, depth):
    title = f"{files:,} files in {depth} layers"

    def mounting(s):
        s.unmount()
        drop_caches(s.host)
        seconds = mount_seconds(s)
        return {f"mount of {title}": seconds}

    def mount_seconds(s):
        """From the start of the program until it has become a daemon; then it goes on as the others do."""
        started = time.monotonic()
        s.mount()
        return time.monotonic() - started

    def walking(s):
        pid = s.daemon_pid()
        rows = {}
        resident, anonymous = memory(pid)
        rows[f"daemon of {title}, resident when mounted"] = resident / (1 << 20)
        s.worker("walk", s.path, 1)
        walked, grown = memory(pid)
        rows[f"daemon of {title}, resident after a walk"] = walked / (1 << 20)
        rows[f"daemon of {title}, for an inode after a walk"] = ((grown - anonymous) / files, "B")
        drop_names(s)
        time.sleep(1)  # forgetting takes its time
        rows[f"daemon of {title}, resident when all is forgotten"] = memory(pid)[0] / (1 << 20)
        return rows

    more = {"image": image, "sharing": "many", "in_place": True, "quick": False, "rounds": 0.6,
            "kinds": ("store",)}  # fmt: skip
    daemon = f"daemon of {title}, "
    yield Workload(f"mount of {title}", mounting, at_most={f"mount of {title}": 0.05}, **more)
    yield Workload(f"daemon of {title}", walking, unit="MiB",
                   at_most={daemon + "resident when mounted": 16, daemon + "for an inode after a walk": 400},
                   **more)  # fmt: skip
    walk = lambda s: s.seconds("walk", s.path, 1)
    yield Workload(f"walk of {title}, after that", walk, **more)

