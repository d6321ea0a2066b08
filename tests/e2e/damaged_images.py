#!/usr/bin/env python3
"""Writes archives that must not load, each wrong in one way.

    damaged_images.py LAYER.tar FOLDER

LAYER.tar is the layer of every image. FOLDER gets a file or a layout folder per case, named for
what is wrong with it, and good.tar and good-layout, which are right.
"""

import copy
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def encode(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


class Link(str):
    """A symlink in an archive, to this path."""


class Image:
    """The parts of an OCI image, and the files they make."""

    def __init__(self, layer):
        self.layer = layer
        self.config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
        self.blob = layer
        self.layer_type = "application/vnd.oci.image.layer.v1.tar"

    @staticmethod
    def descriptor(content, media_type):
        return {"mediaType": media_type, "digest": digest(content), "size": len(content)}

    def manifest(self):
        return {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.descriptor(encode(self.config), "application/vnd.oci.image.config.v1+json"),
            "layers": [self.descriptor(self.blob, self.layer_type)],
        }

    def index(self, manifest):
        described = self.descriptor(encode(manifest), "application/vnd.oci.image.manifest.v1+json")
        described["annotations"] = {"org.opencontainers.image.ref.name": "e2e/damaged:1"}
        return {"schemaVersion": 2, "manifests": [described]}

    def oci(self, manifest=None, index=None):
        manifest = manifest or self.manifest()
        files = {"oci-layout": encode({"imageLayoutVersion": "1.0.0"})}
        files["index.json"] = encode(index or self.index(manifest))
        for content in (encode(manifest), encode(self.config), self.blob):
            files[blob_path(content)] = content
        return files

    def docker(self, **changes):
        config = encode(self.config)
        manifest = {
            "Config": digest(config)[7:] + ".json",
            "RepoTags": ["e2e/damaged:1"],
            "Layers": [digest(self.layer)[7:] + "/layer.tar"],
        }
        files = {manifest["Layers"][0]: self.blob, manifest["Config"]: config}
        files["manifest.json"] = encode([manifest | changes])
        return files


def blob_path(content):
    return "blobs/sha256/" + digest(content)[7:]


def write_archive(path, files):
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, Link):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def write_layout(path, files):
    for name, content in files.items():
        file = os.path.join(path, name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        if isinstance(content, Link):
            os.symlink(content, file)
        else:
            with open(file, "wb") as out:
                out.write(content)


def without(files, name):
    return {n: c for n, c in files.items() if n != name}


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


def changed(value, *path, to):
    """A copy of a JSON value with one place in it changed, or taken away."""
    value = copy.deepcopy(value)
    place = value
    for key in path[:-1]:
        place = place[key]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return value


def deep_index(image, depth):
    """An OCI image under `depth` indexes, each naming the next."""
    files = image.oci()
    inner = files["index.json"]
    for _ in range(depth):
        files[blob_path(inner)] = inner
        inner = encode({"schemaVersion": 2, "manifests": [Image.descriptor(inner, INDEX_TYPE)]})
    files["index.json"] = inner
    return files


INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


def oci_cases(image):
    """Names and files of what is wrong in an OCI archive or layout."""
    good = image.oci()
    manifest = image.manifest()
    index = image.index(manifest)
    manifest_path, config_path, layer_path = (
        blob_path(c) for c in (encode(manifest), encode(image.config), image.blob)
    )
    yield "oci-no-index", without(good, "index.json")
    yield "oci-no-manifest", without(good, manifest_path)
    yield "oci-no-config", without(good, config_path)
    yield "oci-no-layer", without(good, layer_path)
    yield "oci-empty-index", good | {"index.json": encode({"schemaVersion": 2, "manifests": []})}
    yield "oci-index-is-a-list", good | {"index.json": b"[]"}
    yield "oci-index-of-null", good | {"index.json": encode({"manifests": [None]})}
    yield "oci-index-is-no-json", good | {"index.json": good["index.json"][:-1]}
    for name, at in (("start", 0), ("middle", len(image.blob) // 2), ("end", len(image.blob) - 1)):
        yield f"oci-layer-flipped-at-{name}", good | {layer_path: flipped(image.blob, at)}
    yield "oci-config-flipped", good | {config_path: flipped(good[config_path], 20)}
    yield "oci-manifest-flipped", good | {manifest_path: flipped(good[manifest_path], 40)}
    yield "oci-layer-is-empty", good | {layer_path: b""}
    yield "oci-layer-cut", good | {layer_path: image.blob[:-512]}
    for what, path, place in (
        ("config", manifest["config"], ("config",)),
        ("layer", manifest["layers"][0], ("layers", 0)),
    ):
        for name, key, value in (
            ("digest", "digest", digest(b"something else")),
            ("size", "size", path["size"] + 1),
            ("size-negative", "size", -1),
            ("digest-escapes", "digest", "sha256:../../../../etc/passwd"),
            ("digest-unknown", "digest", "md5:d41d8cd98f00b204e9800998ecf8427e"),
            ("digest-missing", "digest", None),
        ):
            wrong = changed(manifest, *place, key, to=value)
            yield f"oci-{what}-{name}", image.oci(wrong)
    for name, value in (("digest", digest(b"something else")), ("digest-escapes", "sha256:../oci-layout")):
        yield f"oci-manifest-{name}", image.oci(index=changed(index, "manifests", 0, "digest", to=value))
    yield "oci-manifest-size", image.oci(index=changed(index, "manifests", 0, "size", to=3))
    yield "oci-no-layers-in-manifest", image.oci(changed(manifest, "layers", to=[]))
    deep = good["index.json"][:-1] + b', "extra": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    yield "oci-index-json-too-deep", good | {"index.json": deep}
    yield "oci-artifact-alone", image.oci(
        changed(manifest, "config", "mediaType", to="application/vnd.cncf.helm.config.v1+json")
    )
    yield "oci-indexes-too-deep", deep_index(image, 40)


def docker_cases(image):
    """The same for a docker-archive."""
    good = image.docker()
    layer_path, config_path = list(good)[:2]
    yield "docker-no-layer", without(good, layer_path)
    yield "docker-no-config", without(good, config_path)
    yield "docker-no-manifest", without(good, "manifest.json")
    yield "docker-manifest-is-no-json", good | {"manifest.json": b'[{"Config": '}
    yield "docker-manifest-is-an-object", good | {"manifest.json": b"{}"}
    yield "docker-manifest-is-empty", good | {"manifest.json": b"[]"}
    yield "docker-manifest-of-numbers", good | {"manifest.json": b"[1, 2]"}
    yield "docker-manifest-too-deep", good | {"manifest.json": b"[" * 500_000}
    yield "docker-config-too-deep", with_config(image, "extra", to=nested(400))
    yield "docker-manifest-closed-too-deep", good | {"manifest.json": b"[" * 200_000 + b"]" * 200_000}
    yield "docker-manifest-huge", good | {"manifest.json": b'["' + b"x" * (80 << 20) + b'"]'}
    yield "docker-config-flipped", good | {config_path: flipped(good[config_path], 20)}
    yield "docker-layer-flipped", good | {layer_path: flipped(image.blob, 700)}
    yield "docker-layer-is-empty", good | {layer_path: b""}
    yield "docker-layer-is-text", good | {layer_path: b"no tar at all\n" * 100}
    yield "docker-tag-not-a-name", image.docker(RepoTags=["UPPER/../case:::"])
    yield "docker-layer-twice", image.docker(Layers=[layer_path, layer_path])
    for name, path in (("parent", "../../../../../etc/passwd"), ("absolute", "/etc/passwd"), ("empty", "")):
        yield f"docker-config-{name}", image.docker(Config=path)
        yield f"docker-layer-{name}", image.docker(Layers=[path])
    yield "docker-link-to-host", good | {layer_path: Link("/etc/passwd")}
    yield "docker-link-to-parent", good | {layer_path: Link("../../../../../../etc/passwd")}
    yield "docker-link-to-itself", good | {layer_path: Link("layer.tar")}
    yield "docker-wrong-diff-id", with_config(image, "rootfs", "diff_ids", 0, to=digest(b"something else"))
    yield "docker-no-diff-ids", with_config(image, "rootfs", to=None)
    yield "docker-diff-id-no-digest", with_config(image, "rootfs", "diff_ids", 0, to="sha256:1234")
    yield "docker-repositories-only-bad", {"repositories": b'{"e2e/x": {"1": "../../etc"}}'}
    yield "docker-parent-loop", {
        "repositories": b'{"e2e/x": {"1": "a"}}',
        "a/json": b'{"id": "a", "parent": "b"}',
        "a/layer.tar": image.blob,
        "b/json": b'{"id": "b", "parent": "a"}',
        "b/layer.tar": image.blob,
    }


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def with_config(image, *path, to):
    image = copy.copy(image)
    image.config = changed(image.config, *path, to=to)
    return image.docker()


def compressed_cases(layer):
    """A layer whose compression is damaged, in an image whose digests are right."""
    for name, packed, media in (
        ("gzip", gzip.compress(layer, mtime=0), "gzip"),
        ("zstd", subprocess.run(["zstd", "-qc"], input=layer, stdout=subprocess.PIPE, check=True).stdout, "zstd"),
    ):
        for kind, blob in (
            ("cut", packed[: len(packed) // 2]),
            ("flipped", flipped(packed, len(packed) // 2)),
            ("cut-in-trailer", packed[:-2]),
        ):
            image = Image(layer)
            image.blob = blob
            image.layer_type += "+" + media
            yield f"oci-{name}-layer-{kind}", image.oci()


def main():
    layer_path, folder = sys.argv[1:]
    with open(layer_path, "rb") as file:
        layer = file.read()
    image = Image(layer)
    os.makedirs(folder)
    write_archive(os.path.join(folder, "good.tar"), image.docker())
    write_layout(os.path.join(folder, "good-layout"), image.oci())
    for name, files in oci_cases(image):
        write_archive(os.path.join(folder, name + ".tar"), files)
        write_layout(os.path.join(folder, name + "-layout"), files)
    for name, files in [*docker_cases(image), *compressed_cases(layer)]:
        write_archive(os.path.join(folder, name + ".tar"), files)
    files = image.oci()
    layer_name = blob_path(image.blob)
    for name, target in (("host", "/etc/passwd"), ("device", "/dev/zero"), ("folder", "..")):
        write_layout(os.path.join(folder, f"oci-link-to-{name}-layout"), files | {layer_name: Link(target)})


if __name__ == "__main__":
    main()
