"""What .dockerignore leaves out of the context."""

from case import Symlink, case

CONTEXT = {
    "a": "1",
    "b.md": "2",
    "README.md": "3",
    "dir/a": "4",
    "dir/b.md": "5",
    "dir/sub/a": "6",
    "dir/sub/c.md": "7",
    "other/a": "8",
    ".hidden": "9",
}
ALL = "FROM veneer/corpus\nCOPY . /all/\n"


def ignoring(name, patterns, context=None, dockerfile=ALL, **given):
    case(name, dockerfile, {**(CONTEXT if context is None else context), ".dockerignore": patterns}, **given)


ignoring("names", "a\nother\n")
ignoring("star", "*.md\n")
ignoring("star_star", "**/*.md\n")
ignoring("star_star_in_the_middle", "dir/**/a\n")
ignoring("star_star_at_the_end", "dir/**\n")
ignoring("directory_with_slash", "dir/\n/other/\n")
ignoring("leading_slash_and_dot", "/a\n./b.md\ndir/../README.md\n")
ignoring("exception", "*.md\n!README.md\n")
ignoring("exception_of_a_directory", "dir\n!dir/sub/a\n")
ignoring("exception_undone", "*.md\n!*.md\nb.md\n")
ignoring("order_counts", "!README.md\n*.md\n")
ignoring("everything_but", "*\n!dir/sub\n!a\n")
ignoring(
    "everything_but_below_star_star",
    "**\n!**/*.md\n",
    differs={
        "buildah": "exceptions do not reach into directories that ** left out",
        "buildkit-20": "in 20.10 exceptions do not reach into directories that ** left out",
    },
)
ignoring("comments_and_spaces", "# a\n  a  \n\n  # not a comment after spaces\n!# b\n")
ignoring("question_and_class", "?\n[br]*.md\n")
ignoring(
    "escapes",
    "\\a\nb\\.md\n",
    differs={"veneer": "a backslash makes the next character itself, as documented in Go's filepath.Match"},
)
ignoring("dockerfile_and_itself", "Dockerfile\n.dockerignore\n")
ignoring("byte_order_mark", "\ufeffa\n")
ignoring("crlf", "a\r\n*.md\r\n")
ignoring("only_exceptions", "!a\n!b\n")
ignoring("dot", ".\n")
ignoring("case_counts", "A\nDIR\n")
ignoring("of_a_symlink", "link\n", {**CONTEXT, "link": Symlink("a"), "link2": Symlink("dir")})
ignoring(
    "named_source_is_missing",
    "a\n",
    dockerfile="""
    FROM veneer/corpus
    COPY a /x
    """,
    fails="(?i)not found|no such file|excluded",
)
ignoring(
    "named_directory_is_partly_there",
    "dir/sub\n",
    dockerfile="""
    FROM veneer/corpus
    COPY dir /x
    """,
)
ignoring(
    "bind_mount_sees_the_same",
    "*.md\n",
    dockerfile="""
    FROM veneer/corpus
    RUN --mount=target=/ctx cd /ctx && find . | sort >/out
    """,
    differs={
        "buildah": ".dockerignore does not count for bind mounts",
        "buildkit-20": "20.10 leaves in the layer what it made to mount on",
    },
)
case(
    "of_the_dockerfile_comes_first",
    None,
    {**CONTEXT, "x.docker": ALL, "x.docker.dockerignore": "*.md\n", ".dockerignore": "a\n"},
    flags=["-f", "%CONTEXT%/x.docker"],
)
case(
    "of_a_dockerfile_in_a_folder",
    None,
    {**CONTEXT, "build/x": ALL, "build/x.dockerignore": "**/*.md\n", ".dockerignore": "a\n"},
    flags=["-f", "%CONTEXT%/build/x"],
)
case(
    "does_not_count_for_stages",
    """
    FROM veneer/corpus AS one
    RUN mkdir /d && touch /d/a /d/b.md
    FROM veneer/corpus
    COPY --from=one /d /x
    """,
    {".dockerignore": "*.md\na\n"},
)
ignoring("nonsense", "a[\n", fails="(?i)syntax error in pattern|error parsing|missing closing|bad pattern")
