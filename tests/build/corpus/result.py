"""What a builder made of a case, as it is compared with what is expected."""

import dataclasses
import json
import os
import sys

import image_config
import layer_tree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "..", "e2e"))
from image_archive import Archive  # noqa: E402  # pylint: disable=wrong-import-position


@dataclasses.dataclass
class Image:
    """Of an archive: all that is compared."""

    config_text: bytes
    config: dict
    tree: dict

    @staticmethod
    def read(path, layers):
        archive = Archive(path)
        config_name, names = archive.first_image()
        with archive.open(config_name) as file:
            text = file.read()
        files = [archive.open(name) for name in names]
        try:
            return Image(text, json.loads(text), layers.tree(files))
        finally:
            for file in files:
                file.close()
            if archive.tar:
                archive.tar.close()

    def layers(self):
        return (self.config.get("rootfs") or {}).get("diff_ids") or []


@dataclasses.dataclass
class Result:
    """The image, told against the base, or against nothing if it is not on the base."""

    on_base: bool
    base: dict  # the base's tree, told
    tree: dict  # changes of that
    config: dict
    history: list

    @staticmethod
    def of(image, base, now, unfill):
        on_base = image.layers()[: len(base.layers())] == base.layers()
        nothing = {"config": {}, "history": []}
        base_config = base.config if on_base else nothing
        base_tree = layer_tree.tell(base.tree, now) if on_base else {}
        said = image_config.normalised(image.config)
        before = image_config.normalised(base_config)
        config = {key: said.get(key) for key in sorted({*said, *before}) if said.get(key) != before.get(key)}
        history = [unfill(step) for step in image_config.history(image.config, base_config)]
        return Result(
            on_base,
            base_tree,
            layer_tree.changes(base_tree, layer_tree.tell(image.tree, now)),
            config,
            history,
        )

    def recorded(self):
        return {
            "on_base": self.on_base,
            "config": self.config,
            "history": self.history,
            "tree": self.tree,
        }


def compare(result, recorded, builder):
    """Lines that tell how a result is not as a recorded one was."""
    different = []
    if result.on_base != recorded["on_base"]:
        different.append("it is on the base" if result.on_base else "it is not on the base")
    wanted, got = dict(recorded["config"]), dict(result.config)
    if builder.lenient:
        for config in (wanted, got):
            if config.get("WorkingDir") == "/":
                del config["WorkingDir"]
    different += layer_tree.compare(recorded["tree"], result.tree, result.base, not builder.lenient)
    different += image_config.compare(wanted, got)
    if not builder.lenient and result.history != recorded["history"]:
        different.append(f"history: {result.history}, not {recorded['history']}")
    return different


def compare_given(result, case, builder):
    """How a result is not as the case itself says."""
    different = []
    if case.tree is not None:
        different += layer_tree.compare(case.tree, result.tree, result.base, not builder.lenient)
    if case.config is not None:
        for key, value in case.config.items():
            if result.config.get(key) != value:
                different.append(f"{key}: {result.config.get(key)!r}, not {value!r}")
    return different
