"""Wildcards in sources: Go's rules."""

from case import Symlink, case

GLOB = {
    "a.txt": "1",
    "b.txt": "2",
    "ab.txt": "3",
    ".hidden.txt": "4",
    "d/a.txt": "5",
    "d/e/f.txt": "6",
    "x[1].txt": "7",
    "A.TXT": "8",
    "dd/g": "9",
}
case(
    "glob_star",
    """
    FROM veneer/corpus
    COPY *.txt /new/
    """,
    GLOB,
    differs={"buildah": "a name that looks like a pattern is taken for one"},
)
case(
    "glob_question",
    """
    FROM veneer/corpus
    COPY ?.txt /new/
    """,
    GLOB,
)
case(
    "glob_class",
    """
    FROM veneer/corpus
    COPY [a-b].txt [^a]b.txt* /new/
    """,
    GLOB,
)
case(
    "glob_class_range",
    """
    FROM veneer/corpus
    COPY [a-b]*.txt /new/
    """,
    GLOB,
)
case(
    "glob_negated_class",
    """
    FROM veneer/corpus
    COPY [^.A-Z]*.txt /new/
    """,
    GLOB,
    differs={"buildah": "a name that looks like a pattern is taken for one"},
)
case(
    "glob_escaped",
    """
    FROM veneer/corpus
    COPY x[[]1].txt /new/
    """,
    GLOB,
    differs={"buildah": "a name that looks like a pattern is taken for one"},
)
case(
    "glob_in_directory",
    """
    FROM veneer/corpus
    COPY */*.txt /new/
    """,
    GLOB,
)
case(
    "glob_matches_directory",
    """
    FROM veneer/corpus
    COPY d* /new/
    """,
    GLOB,
)
case(
    "glob_star_does_not_cross",
    """
    FROM veneer/corpus
    COPY d/*.txt /new/
    """,
    GLOB,
)
case(
    "glob_double_star",
    """
    FROM veneer/corpus
    COPY d/**/*.txt /new/
    """,
    GLOB,
)
case(
    "glob_nothing",
    """
    FROM veneer/corpus
    COPY *.none /new/
    """,
    GLOB,
    differs={"buildah": "a pattern that matches nothing is an error"},
)
case(
    "glob_one_file_to_name",
    """
    FROM veneer/corpus
    COPY a*.txt /new
    """,
    {"a.txt": "1"},
)
case(
    "glob_several_to_name",
    """
    FROM veneer/corpus
    COPY *.txt /new
    """,
    GLOB,
    differs={"buildah": "a name that looks like a pattern is taken for one"},
)
case(
    "glob_of_symlinks",
    """
    FROM veneer/corpus
    COPY l* /new/
    """,
    {"l1": Symlink("t"), "l2": Symlink("dir"), "t": "T", "dir/x": "X"},
)
