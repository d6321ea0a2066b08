"""ONBUILD."""

from case import build, case

TRIGGERS = "FROM veneer/corpus\nONBUILD COPY file /triggered\nONBUILD RUN echo run >/ran\nONBUILD ENV T=1\n"
case(
    "onbuild_is_stored",
    TRIGGERS,
    config={"OnBuild": ["COPY file /triggered", "RUN echo run >/ran", "ENV T=1"]},
    tree={},
)
case(
    "onbuild_fires",
    """
    FROM %BASE%
    RUN echo $T >/after
    """,
    {"file": "A"},
    before=[build(TRIGGERS)],
    config={"OnBuild": None},
)
case(
    "onbuild_does_not_fire_twice",
    """
    FROM %BASE2%
    RUN ls / | grep -c triggered >/out; true
    """,
    before=[
        build(
            """
    FROM veneer/corpus
    ONBUILD RUN echo x >>/count
    """
        ),
        build(
            """
    FROM %BASE%
    RUN true
    """
        ),
    ],
)
case(
    "onbuild_of_a_stage",
    """
    FROM veneer/corpus AS one
    ONBUILD RUN echo one >/fired
    FROM one
    RUN cat /fired >/out
    """,
)
case(
    "onbuild_copy_from",
    """
    FROM veneer/corpus AS src
    RUN echo src >/x
    FROM %BASE%
    """,
    before=[
        build(
            """
    FROM veneer/corpus
    ONBUILD COPY --from=src /x /y
    """
        )
    ],
    since="1.7",
    differs={"buildah": "a trigger knows no stages"},
)
case(
    "onbuild_in_order_with_several",
    """
    FROM %BASE%
    RUN echo 3 >>/o
    """,
    before=[
        build(
            """
    FROM veneer/corpus
    ONBUILD RUN echo 1 >/o
    ONBUILD RUN echo 2 >>/o
    """
        )
    ],
)
case(
    "onbuild_workdir_user",
    """
    FROM %BASE%
    RUN id -un >who; pwd >where
    """,
    before=[
        build(
            """
    FROM veneer/corpus
    ONBUILD WORKDIR /home/app
    ONBUILD USER app
    """
        )
    ],
)
case(
    "onbuild_from_is_refused",
    """
    FROM veneer/corpus
    ONBUILD FROM x
    """,
    fails="(?i)FROM isn't allowed as an ONBUILD trigger",
)
case("onbuild_missing_file", "FROM %BASE%\n", before=[build(TRIGGERS)], fails="(?i)not found|no such")
