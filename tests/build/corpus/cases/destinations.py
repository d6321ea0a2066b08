"""COPY to destinations that are symlinks: followed, but never out of the root."""

from case import Symlink, case
from cases.copying import TREE

for way in ("absolute", "relative", "chain", "escaping"):
    case(
        f"through_{way}_symlink",
        f"""
    FROM veneer/corpus
    COPY file /links/{way}/new
    """,
        TREE,
    )
    case(
        f"directory_onto_{way}_symlink",
        f"""
    FROM veneer/corpus
    COPY dir /links/{way}
    """,
        TREE,
    )
    case(
        f"file_into_{way}_symlink",
        f"""
    FROM veneer/corpus
    COPY file /links/{way}/
    """,
        TREE,
    )
case(
    "through_dangling_symlink",
    """
    FROM veneer/corpus
    COPY file /links/dangling/new
    """,
    TREE,
)
case(
    "file_onto_dangling_symlink",
    """
    FROM veneer/corpus
    COPY file /links/dangling
    """,
    TREE,
    differs={"buildah": "the file is put into a directory that is made where the symlink leads"},
)
case(
    "through_symlink_loop",
    """
    FROM veneer/corpus
    COPY file /links/loop/new
    """,
    TREE,
    fails=".",
)
case(
    "through_two_symlinks_that_loop",
    """
    FROM veneer/corpus
    COPY file /links/ping/new
    """,
    TREE,
    fails=".",
)
case(
    "through_symlink_made_by_run",
    """
    FROM veneer/corpus
    RUN ln -s /data /way && ln -s ../../../.. /home/up
    COPY file /way/new
    COPY file /home/up/at-root
    """,
    TREE,
)
case(
    "symlink_copied_earlier_is_followed",
    """
    FROM veneer/corpus
    COPY l /l
    COPY file /l/way/new
    """,
    {"l/way": Symlink("/data"), **TREE},
)
case(
    "symlink_in_the_same_copy_is_not_left_by",
    """
    FROM veneer/corpus
    COPY one two /x/
    """,
    {"one/way": Symlink("/data"), "two/way/file": "where"},
    fails=".",
    differs={"buildah": "the symlink is replaced by the directory"},
)
