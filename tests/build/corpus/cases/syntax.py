r"""Directives, comments, continuations, heredocs, exec form: how the text is read."""

from case import File, case

case(
    "comments_and_empty_lines",
    r"""
    # a comment

    FROM veneer/corpus
      # an indented one
    RUN echo one \
    # between

        && echo two \
      # and again
      >/out
    """,
)

case(
    "comment_sign_in_the_middle",
    """
    FROM veneer/corpus
    RUN echo a # b >/not
    RUN echo "# c" >/out
    ENV A="x # y"
    """,
)

case(
    "escape_directive",
    r"""
    # escape=`
    FROM veneer/corpus
    ENV A=one` two B=c:\dir
    RUN echo a `
      b >/out
    """,
    differs={"buildah": "backslashes are removed whatever the escape directive says"},
)

case(
    "directive_after_comment_is_none",
    r"""
    # just a comment
    # escape=`
    FROM veneer/corpus
    RUN echo a \
      b >/out
    """,
)

case(
    "syntax_directive_is_read_by_the_built_in",
    """
    # check=skip=all
    FROM veneer/corpus
    MAINTAINER x
    """,
    since="1.8",
    tree={},
    config={"author": "x"},
    unsupported={},
)

case(
    "crlf",
    "FROM veneer/corpus\r\nRUN echo a \\\r\n  b >/out\r\nENV A=1\r\n",
)

case(
    "byte_order_mark",
    "\ufeffFROM veneer/corpus\nENV A=1\n",
)

case(
    "no_newline_at_the_end",
    "FROM veneer/corpus\nENV A=1",
)

case(
    "continuation_at_the_end",
    "FROM veneer/corpus\nENV A=1 \\\n",
)

case(
    "continuation_inside_a_word",
    r"""
    FROM veneer/corpus
    RUN echo par\
    ted >/out
    ENV LONG=a\
    b
    """,
)

case(
    "spaces_after_the_backslash",
    """
    FROM veneer/corpus
    RUN echo a \\  
      b >/out
    """,
)

case(
    "tabs_between_words",
    "FROM\tveneer/corpus\nENV\tA=1\nCOPY\tfile\t/out\n",
    {"file": "A"},
)

case(
    "run_exec_form",
    """
    FROM veneer/corpus
    RUN ["/bin/sh", "-c", "echo \\"$0\\" $HOME >/out", "a b"]
    """,
)

case(
    "run_exec_form_knows_no_variables",
    """
    FROM veneer/corpus
    RUN ["touch", "/$BASE", "/*"]
    """,
)

case(
    "run_bad_json_is_shell",
    """
    FROM veneer/corpus
    RUN [ "a" = "a" ] && echo yes >/out
    """,
)

case(
    "copy_json_form",
    """
    FROM veneer/corpus
    COPY ["a b", "c", "/with space/"]
    """,
    {"a b": "A", "c": "C"},
)

case(
    "copy_json_with_flags",
    """
    FROM veneer/corpus
    COPY --chown=1:2 ["a b", "/x"]
    """,
    {"a b": "A"},
)

NO_HEREDOCS = {"buildah": "it knows no heredocs before 1.33"}

case(
    "heredoc_run",
    """
    FROM veneer/corpus
    RUN <<EOF
    echo one >/out
    x=two
    echo $x >>/out
    EOF
    """,
    since="1.4",
    unsupported=NO_HEREDOCS,
    tree={"/out": 'f 644 0:0 "one\\ntwo\\n"'},
)

case(
    "heredoc_run_as_input",
    """
    FROM veneer/corpus
    RUN cat <<EOF >/out; echo after >>/out
    $BASE ${UNSET:-unset}
    EOF
    """,
    since="1.4",
    unsupported=NO_HEREDOCS,
    tree={"/out": 'f 644 0:0 "from the base unset\\nafter\\n"'},
)

case(
    "heredoc_run_quoted",
    """
    FROM veneer/corpus
    RUN cat <<"EOF" >/out
    $BASE `date` \\
    EOF
    """,
    since="1.4",
    unsupported=NO_HEREDOCS,
    tree={"/out": 'f 644 0:0 "$BASE `date` \\\\\\n"'},
)

case(
    "heredoc_run_without_tabs",
    "FROM veneer/corpus\nRUN cat <<-EOF >/out\n\tone\n\t\ttwo\n\tEOF\nENV A=1\n",
    since="1.4",
    unsupported=NO_HEREDOCS,
    tree={"/out": 'f 644 0:0 "one\\ntwo\\n"'},
)

case(
    "heredoc_run_shebang",
    """
    FROM veneer/corpus
    RUN <<EOF
    #!/bin/awk -f
    BEGIN { print "awk" >"/out" }
    EOF
    """,
    since="1.4",
    unsupported=NO_HEREDOCS,
    tree={"/out": 'f 644 0:0 "awk\\n"'},
)

case(
    "heredoc_run_several",
    """
    FROM veneer/corpus
    RUN cat <<ONE >/one && cat <<TWO >/two
    first
    ONE
    second
    TWO
    """,
    since="1.4",
    unsupported=NO_HEREDOCS,
    tree={"/one": 'f 644 0:0 "first\\n"', "/two": 'f 644 0:0 "second\\n"'},
)

case(
    "heredoc_run_other_descriptor",
    """
    FROM veneer/corpus
    RUN cat 3<<EOF <&3 >/out
    three
    EOF
    """,
    since="1.4",
    unsupported=NO_HEREDOCS,
    tree={"/out": 'f 644 0:0 "three\\n"'},
)

case(
    "heredoc_run_another_interpreter",
    """
    FROM veneer/corpus
    RUN sh -e -s one two <<EOF
    echo "$# $2" >/out
    EOF
    """,
    since="1.4",
    unsupported=NO_HEREDOCS,
)

case(
    "heredoc_copy",
    """
    FROM veneer/corpus
    ARG WHO=you
    COPY <<EOF /etc/made
    hello $WHO
    EOF
    """,
    since="1.4",
    unsupported=NO_HEREDOCS,
    tree={"/etc/made": 'f 644 0:0 "hello you\\n"'},
)

case(
    "heredoc_copy_quoted",
    """
    FROM veneer/corpus
    COPY <<'EOF' /out
    hello $WHO \\
    EOF
    """,
    since="1.4",
    unsupported=NO_HEREDOCS,
    tree={"/out": 'f 644 0:0 "hello $WHO \\\\\\n"'},
)

case(
    "heredoc_copy_several",
    """
    FROM veneer/corpus
    COPY --chown=app --chmod=750 <<one <<two file /many/
    1
    one
    2
    two
    """,
    {"file": "F"},
    since="1.4",
    unsupported=NO_HEREDOCS,
)

case(
    "heredoc_copy_empty",
    """
    FROM veneer/corpus
    COPY <<EOF /empty
    EOF
    """,
    since="1.4",
    unsupported=NO_HEREDOCS,
    tree={"/empty": 'f 644 0:0 ""'},
)

case(
    "heredoc_copy_with_file_name_of_the_word",
    """
    FROM veneer/corpus
    COPY <<name.conf /etc/conf.d/
    x
    name.conf
    """,
    since="1.4",
    unsupported=NO_HEREDOCS,
)

case(
    "heredoc_not_ended",
    """
    FROM veneer/corpus
    RUN <<EOF
    echo x
    """,
    since="1.4",
    fails="(?i)unterminated heredoc",
)

case(
    "heredoc_in_onbuild_and_cmd_is_text",
    """
    FROM veneer/corpus
    CMD cat <<EOF
    """,
    unsupported={},
)

case(
    "dockerfile_elsewhere",
    None,
    {"sub/other.docker": "FROM veneer/corpus\nCOPY file /out\n", "file": "A"},
    flags=["-f", "%CONTEXT%/sub/other.docker"],
)

case(
    "dockerfile_outside_the_context",
    None,
    {"file": "A"},
    flags=["-f", "%FILES%/outside"],
    files={"outside": "FROM veneer/corpus\nCOPY file /out\n"},
)

case(
    "dockerfile_on_standard_input",
    None,
    stdin="FROM veneer/corpus\nRUN echo x >/out\n",
)

case(
    "dockerfile_is_part_of_the_context",
    """
    FROM veneer/corpus
    COPY . /out/
    """,
    {"file": "A", "sub": File("B", mode=0o600)},
)

case(
    "copied_dockerfile",
    """
    FROM veneer/corpus
    COPY Dockerfile /out
    """,
)

case(
    "lower_case_dockerfile",
    None,
    {"dockerfile": "FROM veneer/corpus\nENV A=1\n"},
    differs={"buildah": "dockerfile is not looked for"},
)

case("empty_file", "", fails="(?i)(cannot be|is|file with no instructions).*|empty")
case("comments_alone", "# nothing\n", fails="(?i)no instructions|empty|no build stage")
case(
    "unknown_instruction",
    """
    FROM veneer/corpus
    RUNN x
    """,
    fails="(?i)unknown instruction: RUNN",
)
case("no_from", "RUN x\n", fails="(?i)no build stage in current context")
case(
    "unknown_flag",
    """
    FROM veneer/corpus
    COPY --foo=1 a b
    """,
    {"a": ""},
    fails="(?i)unknown flag: (--)?foo",
)
case(
    "env_without_value",
    """
    FROM veneer/corpus
    ENV A
    """,
    fails="ENV must have two arguments",
)
case(
    "onbuild_chained",
    """
    FROM veneer/corpus
    ONBUILD ONBUILD RUN x
    """,
    fails="(?i)chaining ONBUILD",
)
case(
    "copy_needs_two",
    """
    FROM veneer/corpus
    COPY a
    """,
    {"a": ""},
    fails="COPY requires at least two arguments",
)
case("missing_dockerfile", None, {"file": ""}, fails="(?i)(no such file|failed to read dockerfile|not found)")
