"""veneer build beside Docker's BuildKit and buildah: what people wait for when they build images.

Each tool starts with the Debian image loaded, and nothing cached. Rows of a group go on from each other: what is
rebuilt was built in the row before.
"""

import os

from .host import sync
from .images import TAG
from .workload import Workload


class Context:
    """A build context in the tool's own filesystem."""

    def __init__(self, tool, name):
        self.path = tool.at(name)
        os.makedirs(self.path)

    def file(self, name, content):
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)

    def dockerfile(self, *lines):
        self.file("Dockerfile", ("\n".join(lines) + "\n").encode())
        return self


def loaded(tool):
    """The image that builds start from; how long that takes is another row."""
    tool.load()
    sync(tool.disk.path)


def built(tool, context):
    sync(tool.disk.path)
    return tool.build(context.path)


def commands(tool):
    loaded(tool)
    context = Context(tool, "commands").dockerfile(f"FROM {TAG}", *(f"RUN true {i}" for i in range(20)))
    return built(tool, context)


def commands_again(tool):
    return tool.build(tool.at("commands"))


def copies(tool):
    context = Context(tool, "copies")
    for i in range(20):
        context.file(f"file{i}", b"%d\n" % i * 100)
    context.dockerfile(f"FROM {TAG}", *(f"COPY file{i} /copied/" for i in range(20)))
    return built(tool, context)


def many_files(files):
    def measure(tool):
        context = Context(tool, "many")
        for i in range(files):
            context.file(f"tree/{i // 1000}/{i // 50 % 20}/file{i}", b"%d\n" % i * 100)
        context.dockerfile(f"FROM {TAG}", "COPY tree /tree")
        return built(tool, context)

    return measure


def large_file(megabytes):
    def measure(tool):
        # /dev/urandom would be most of the time.
        make = f"head -c {megabytes}M /dev/zero | tr '\\0' x > /large"
        return built(tool, Context(tool, "large").dockerfile(f"FROM {TAG}", f"RUN {make}"))

    return measure


def stages(tool):
    lines = []
    for i in range(8):
        lines += [f"FROM {TAG} AS part{i}", f"RUN mkdir /part && seq {i} 200000 > /part/{i}", "RUN sha256sum /part/* > /part/sum"]
    lines += [f"FROM {TAG}", *(f"COPY --from=part{i} /part /parts/{i}" for i in range(8))]
    return built(tool, Context(tool, "stages").dockerfile(*lines))


def one_change(files):
    def measure(tool):
        context = Context(tool, "change")
        for i in range(files):
            context.file(f"src/{i // 100}/file{i}", b"%d\n" % i * 100)
        context.dockerfile(f"FROM {TAG}", "COPY src /src", "RUN ls -R /src > /listing")
        built(tool, context)
        context.file("src/0/file0", b"changed\n")
        return built(tool, context)

    return measure


def workloads(megabytes, files):
    shared = {
        "kinds": ("tool",), "quick": False, "rounds": 0.6, "sharing": "tools, builds",
        "suits": lambda tool: getattr(tool, "build", None) is not None,
    }  # fmt: skip
    yield Workload("tool: build of 20 RUN true", commands, wanted=(0.8,), **shared)
    yield Workload("tool: build again, all cached", commands_again, wanted=(0.8,), **shared)
    yield Workload("tool: build of 20 COPY of a small file", copies, wanted=(0.8,), **shared)
    yield Workload(f"tool: build of a COPY of {files:,} files", many_files(files), wanted=(0.5,), **shared)
    size = f"{megabytes:,} MiB"
    yield Workload(f"tool: build of a RUN that writes {size}", large_file(megabytes), wanted=(0.5,), **shared)
    yield Workload("tool: build of 8 independent stages", stages, wanted=(0.8,), **shared)
    yield Workload("tool: build again, one of 1,000 files changed", one_change(1000), wanted=(0.8,), **shared)
