#!/usr/bin/env python3
"""Writes and takes apart image archives, independently of the programs under test.

    image_archive.py docker OUT TAG LAYER.tar...    as `docker save` wrote from 1.10 to 24
    image_archive.py legacy OUT TAG LAYER.tar...    as before 1.10: `repositories`, v1 JSON
    image_archive.py extract ARCHIVE FOLDER         of its first image, config.json and 1.tar, 2.tar...

A layer file may be given several times: the image then has it several times. `extract` reads any
docker-archive, OCI archive or OCI layout folder; layers come out uncompressed.
"""

import gzip
import hashlib
import io
import json
import os
import posixpath
import shutil
import subprocess
import sys
import tarfile

CREATED = "2023-11-14T22:13:20Z"


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def add_bytes(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def add_file(tar, name, path):
    entry = tarfile.TarInfo(name)
    entry.size = os.path.getsize(path)
    with open(path, "rb") as file:
        tar.addfile(entry, file)


def v1_config(number):
    return {
        "Cmd": ["sh"],
        "Env": ["PATH=/bin"],
        "Labels": {"layer": str(number)},
    }


def write_docker(out, tag, layers):
    diff_ids = [sha256(path) for path in layers]
    config = {
        "architecture": "amd64",
        "config": v1_config(len(layers)),
        "created": CREATED,
        "history": [{"created": CREATED, "created_by": f"layer {n}"} for n in range(1, len(layers) + 1)],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + d for d in diff_ids]},
    }
    config = json.dumps(config).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = {"Config": config_name, "RepoTags": [tag], "Layers": [f"{d}/layer.tar" for d in diff_ids]}
    with tarfile.open(out, "w") as tar:
        for diff_id, path in dict(zip(diff_ids, layers)).items():
            add_file(tar, f"{diff_id}/layer.tar", path)
        add_bytes(tar, config_name, config)
        add_bytes(tar, "manifest.json", json.dumps([manifest]).encode())


def write_legacy(out, tag, layers):
    with tarfile.open(out, "w") as tar:
        parent = None
        for number, path in enumerate(layers, 1):
            v1 = {
                "id": hashlib.sha256(f"{number} {parent}".encode()).hexdigest(),
                "created": CREATED,
                "container_config": {"Cmd": ["/bin/sh", "-c", f"#(nop) layer {number} <&>"]},
                "docker_version": "1.9.1",
                "architecture": "amd64",
                "os": "linux",
                "config": v1_config(number),
                "Size": os.path.getsize(path),
            }
            if parent:
                v1["parent"] = parent
            parent = v1["id"]
            add_bytes(tar, f"{parent}/VERSION", b"1.0")
            add_bytes(tar, f"{parent}/json", json.dumps(v1).encode())
            add_file(tar, f"{parent}/layer.tar", path)
        name, _, version = tag.rpartition(":")
        add_bytes(tar, "repositories", json.dumps({name: {version: parent}}).encode())


class Archive:
    """The files of an archive or a folder, by name."""

    def __init__(self, path):
        self.folder = path if os.path.isdir(path) else None
        self.tar = None if self.folder else tarfile.open(path)

    def open(self, name):
        if self.folder:
            return open(os.path.join(self.folder, name), "rb")
        member = self.tar.getmember(name)
        if member.issym():
            return self.open(posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)))
        return self.tar.extractfile(member)

    def json(self, name):
        with self.open(name) as file:
            return json.load(file)

    def has(self, name):
        if self.folder:
            return os.path.exists(os.path.join(self.folder, name))
        return name in self.tar.getnames()

    def first_image(self):
        """The names of its config and its layers."""
        if self.has("manifest.json"):
            manifest = self.json("manifest.json")[0]
            return manifest["Config"], manifest["Layers"]
        manifest = self.json("index.json")
        while "manifests" in manifest:
            manifest = self.json(self.blob(manifest["manifests"][0]))
        return self.blob(manifest["config"]), [self.blob(layer) for layer in manifest["layers"]]

    @staticmethod
    def blob(descriptor):
        return "blobs/" + descriptor["digest"].replace(":", "/")


def copy_uncompressed(source, target):
    start = source.read(4)
    source.seek(0)
    if start[:2] == b"\x1f\x8b":
        source = gzip.open(source)
    elif start == b"\x28\xb5\x2f\xfd":
        zstd = subprocess.Popen(["zstd", "-dcq"], stdin=subprocess.PIPE, stdout=target)
        shutil.copyfileobj(source, zstd.stdin, 1 << 20)
        zstd.stdin.close()
        if zstd.wait() != 0:
            sys.exit("image_archive.py: zstd failed")
        return
    shutil.copyfileobj(source, target, 1 << 20)


def extract(path, folder):
    os.makedirs(folder)
    archive = Archive(path)
    config, layers = archive.first_image()
    with archive.open(config) as source, open(os.path.join(folder, "config.json"), "wb") as target:
        shutil.copyfileobj(source, target)
    for number, name in enumerate(layers, 1):
        with archive.open(name) as source, open(os.path.join(folder, f"{number}.tar"), "wb") as target:
            copy_uncompressed(source, target)


def main():
    match sys.argv[1:]:
        case ["docker", out, tag, *layers]:
            write_docker(out, tag, layers)
        case ["legacy", out, tag, *layers]:
            write_legacy(out, tag, layers)
        case ["extract", archive, folder]:
            extract(archive, folder)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
