"""COPY from the context: what is taken, where it goes, and with which attributes."""

from case import Dir, Fifo, File, Link, Sparse, Symlink, build, case

TREE = {
    "dir": Dir(mode=0o750, mtime=1_500_000_001),
    "dir/a": File("A", mode=0o640, mtime=1_500_000_002),
    "dir/sub": Dir(mode=0o700, mtime=1_500_000_003),
    "dir/sub/b": File("B", mode=0o755, mtime=1_500_000_004),
    "dir/link": Symlink("sub/b", mtime=1_500_000_005),
    "file": File("F", mtime=1_500_000_006),
}

case("file_to_name", "FROM veneer/corpus\nCOPY file /new\n", TREE)
case("file_to_directory", "FROM veneer/corpus\nCOPY file /data/\n", TREE)
case("file_to_existing_directory_without_slash", "FROM veneer/corpus\nCOPY file /data\n", TREE)
case("file_to_new_directory", "FROM veneer/corpus\nCOPY file /new/dir/\n", TREE)
case("file_to_new_name_below_new_directories", "FROM veneer/corpus\nCOPY file /new/dir/name\n", TREE)
case("file_over_file", "FROM veneer/corpus\nCOPY file /data/file\n", TREE)
case("file_over_linked_file", "FROM veneer/corpus\nCOPY file /odd/one\n", TREE)
case("file_over_setuid_file", "FROM veneer/corpus\nCOPY file /odd/setuid\n", TREE)
case("several_to_directory", "FROM veneer/corpus\nCOPY file dir/a /new/\n", TREE)
case("dot_to_relative", "FROM veneer/corpus\nWORKDIR /new\nCOPY . .\n", TREE)
case("dot_slash_name", "FROM veneer/corpus\nCOPY ./file ./dir/../file /new/\n", TREE)
case("leading_slash_is_the_context", "FROM veneer/corpus\nCOPY /file /new\n", TREE)
case("dots_stay_in_the_context", "FROM veneer/corpus\nCOPY ../../file /new\n", TREE)
case("directory_gives_its_content", "FROM veneer/corpus\nCOPY dir /new\n", TREE)
case("directory_with_slash", "FROM veneer/corpus\nCOPY dir/ /new/\n", TREE)
case("directory_to_existing", "FROM veneer/corpus\nCOPY dir /data\n", TREE)
case("directory_onto_root", "FROM veneer/corpus\nCOPY dir /\n", TREE)
case("directories_are_joined", "FROM veneer/corpus\nCOPY dir other /new/\n", {**TREE, "other/a": "other A", "other/c": "C"})
case(
    "directory_over_existing_attributes",
    "FROM veneer/corpus\nCOPY tree /data\n",
    {"tree/sub": Dir(mode=0o711), "tree/sub/deep": Dir(mode=0o700), "tree/sub/new": "N"},
)
case("empty_directory", "FROM veneer/corpus\nCOPY empty /new\n", {"empty": Dir(mode=0o711)})
case("directory_in_directory", "FROM veneer/corpus\nCOPY outer /new\n", {"outer/empty": Dir(mode=0o500)})
case("destination_with_dots", "FROM veneer/corpus\nCOPY file /a/../b/./c/\n", TREE)
case("destination_is_dot", "FROM veneer/corpus\nWORKDIR /data/sub\nCOPY file .\n", TREE)
case("empty_file", "FROM veneer/corpus\nCOPY e /e\n", {"e": ""})
case("big_file", "FROM veneer/corpus\nCOPY big /big\n", {"big": b"0123456789abcdef" * (5 << 16)})
case("sparse_file", "FROM veneer/corpus\nCOPY s /s\n", {"s": Sparse(b"end", size=3 << 20)})
case("many_files", "FROM veneer/corpus\nCOPY many /many\n", {f"many/{n % 10}/{n}": str(n) for n in range(400)})
case(
    "unicode_and_odd_names",
    "FROM veneer/corpus\nCOPY names /names\nCOPY names/ünï /one\n",
    {"names/ünï": "1", "names/a b": "2", "names/☃": "3", "names/quo\"te'": "4", "names/back\\slash": "5", "names/new\nline": "6"},
)
case(
    "long_names",
    f"FROM veneer/corpus\nCOPY l /l\nCOPY l/{'x' * 250} /{'y' * 255}\n",
    {f"l/{'x' * 250}": "1", "l/" + "/".join(["d" * 60] * 8): "2", f"l/link-{'z' * 200}": Symlink("t" * 300)},
)
case(
    "times_are_kept",
    "FROM veneer/corpus\nCOPY t /t\n",
    {"t/old": File("1", mtime=1), "t/young": File("2", mtime=1_500_000_000), "t/d": Dir(mtime=1_400_000_000)},
)
case(
    "modes_are_kept",
    "FROM veneer/corpus\nCOPY m /m\n",
    {
        "m/setuid": File("1", mode=0o4755),
        "m/setgid": File("2", mode=0o2711),
        "m/sticky": Dir(mode=0o1777),
        "m/setgid-dir": Dir(mode=0o2755),
        "m/none": File("3", mode=0o000),
        "m/all": File("4", mode=0o777),
    },
)
case("owners_are_not_kept", "FROM veneer/corpus\nCOPY f /f\n", {"f": File("1", uid=1000, gid=50)})
case("copy_is_roots_whatever_user", "FROM veneer/corpus\nUSER app\nCOPY file /tmp/\n", TREE)
case(
    "symlink_named_as_source_is_followed",
    "FROM veneer/corpus\nCOPY to-file /one\nCOPY to-dir /two\nCOPY to-file /dir/\n",
    {"to-file": Symlink("dir/a"), "to-dir": Symlink("dir"), **TREE},
)
case(
    "symlinks_inside_are_kept",
    "FROM veneer/corpus\nCOPY l /l\n",
    {"l/rel": Symlink("x"), "l/abs": Symlink("/etc/passwd"), "l/up": Symlink("../../.."), "l/loop": Symlink("loop"), "l/x": "X"},
)
case("symlink_of_the_context_cannot_leave_it", "FROM veneer/corpus\nCOPY out /x\n", {"out": Symlink("../../../../../etc/hostname")}, fails="(?i)not found")
case("symlink_absolute_is_below_the_context", "FROM veneer/corpus\nCOPY out /x\n", {"out": Symlink("/file"), **TREE})
case("symlink_parent_of_source", "FROM veneer/corpus\nCOPY way/a /x\n", {"way": Symlink("dir"), **TREE})
case("symlink_dangling_source", "FROM veneer/corpus\nCOPY out /x\n", {"out": Symlink("nowhere")}, fails="(?i)not found")
case("symlink_loop_as_source", "FROM veneer/corpus\nCOPY loop /x\n", {"loop": Symlink("loop")}, fails=".")
case("hard_links", "FROM veneer/corpus\nCOPY h /h\n", {"h/one": "1", "h/two": Link("h/one"), "h/sub/three": Link("h/one"), "h/other": "2"})
case("hard_link_partly_outside", "FROM veneer/corpus\nCOPY h /h\n", {"h/one": "1", "outside": Link("h/one")})
case("fifo", "FROM veneer/corpus\nCOPY f /f\n", {"f/pipe": Fifo(mode=0o640), "f/x": "X"})
case(
    "capability",
    "FROM veneer/corpus\nCOPY c /c\n",
    {"c": File("C", mode=0o755, xattrs={"security.capability": bytes.fromhex("0100000200200000000000000000000000000000")})},
)
case(
    "capability_and_chown",
    "FROM veneer/corpus\nCOPY --chown=app c /c\n",
    {"c": File("C", mode=0o755, xattrs={"security.capability": bytes.fromhex("0100000200200000000000000000000000000000")})},
)
case(
    "user_attributes",
    "FROM veneer/corpus\nCOPY x /x\n",
    {"x/f": File("X", xattrs={"user.note": b"kept", "user.binary": b"\0\xff"}), "x/d": Dir(xattrs={"user.dir": b"d"})},
    tree={
        "/x": "d 755 0:0 @1600000000",
        "/x/d": 'd 755 0:0 @1600000000 user.dir="d"',
        "/x/f": 'f 644 0:0 "X" @1600000000 user.binary=0x00ff user.note="kept"',
    },
)

case("missing_source", "FROM veneer/corpus\nCOPY nothing /x\n", {"file": ""}, fails='(?i)"?/nothing"?: not found|no such file')
case("missing_among_others", "FROM veneer/corpus\nCOPY file nothing /x/\n", {"file": ""}, fails="(?i)not found|no such file")
case("several_to_a_file", "FROM veneer/corpus\nCOPY a b /x\n", {"a": "", "b": ""}, fails="(?i)destination must be a directory and end with a /")
case("file_onto_directory", "FROM veneer/corpus\nCOPY d/x /data/\n", {"d/x": Dir()})
case("directory_onto_file", "FROM veneer/corpus\nCOPY d /data/file\n", {"d/x": "X"}, fails="(?i)(cannot|not a directory|exist|cannot copy to non-directory|mkdir)")
case("file_replaces_directory_of_that_name", "FROM veneer/corpus\nCOPY data /\n", {"data/sub": "now a file"}, fails="(?i)(cannot|is a directory|directory|exists)")
case("directory_replaces_file_of_that_name", "FROM veneer/corpus\nCOPY data /data\n", {"data/file/inner": "x"}, fails="(?i)(cannot|not a directory|exists)")
case("symlink_over_file", "FROM veneer/corpus\nCOPY data /data\n", {"data/file": Symlink("other")})
case("file_over_symlink_in_directory", "FROM veneer/corpus\nCOPY links /links\n", {"links/file": "replaces"})
case("file_over_symlink_named", "FROM veneer/corpus\nCOPY f /links/file\n", {"f": "through"})

# ---- destinations that are symlinks --------------------------------------------------------------

for way in ("absolute", "relative", "chain", "escaping"):
    case(f"through_{way}_symlink", f"FROM veneer/corpus\nCOPY file /links/{way}/new\n", TREE)
    case(f"directory_onto_{way}_symlink", f"FROM veneer/corpus\nCOPY dir /links/{way}\n", TREE)
    case(f"file_into_{way}_symlink", f"FROM veneer/corpus\nCOPY file /links/{way}/\n", TREE)
case("through_dangling_symlink", "FROM veneer/corpus\nCOPY file /links/dangling/new\n", TREE)
case("file_onto_dangling_symlink", "FROM veneer/corpus\nCOPY file /links/dangling\n", TREE)
case("through_symlink_loop", "FROM veneer/corpus\nCOPY file /links/loop/new\n", TREE, fails=".")
case("through_two_symlinks_that_loop", "FROM veneer/corpus\nCOPY file /links/ping/new\n", TREE, fails=".")
case(
    "through_symlink_made_by_run",
    "FROM veneer/corpus\nRUN ln -s /data /way && ln -s ../../../.. /home/up\nCOPY file /way/new\nCOPY file /home/up/at-root\n",
    TREE,
)
case(
    "symlink_copied_earlier_is_followed",
    "FROM veneer/corpus\nCOPY l /l\nCOPY file /l/way/new\n",
    {"l/way": Symlink("/data"), **TREE},
)
case(
    "symlink_in_the_same_copy_is_not_left_by",
    "FROM veneer/corpus\nCOPY one two /x/\n",
    {"one/way": Symlink("/data"), "two/way/file": "where"},
    fails=".",
)

# ---- --chown, --chmod ----------------------------------------------------------------------------

case("chown_name", "FROM veneer/corpus\nCOPY --chown=app dir /new\n", TREE)
case("chown_name_and_group", "FROM veneer/corpus\nCOPY --chown=app:staff dir /new/dir/\n", TREE)
case("chown_numbers", "FROM veneer/corpus\nCOPY --chown=12:34 file /new/\n", TREE)
case("chown_number_alone", "FROM veneer/corpus\nCOPY --chown=12 file /new\n", TREE)
case("chown_number_of_account_alone", "FROM veneer/corpus\nCOPY --chown=1000 file /new\n", TREE)
case("chown_number_and_name", "FROM veneer/corpus\nCOPY --chown=7:files file /new\n", TREE)
case("chown_group_alone", "FROM veneer/corpus\nCOPY --chown=:staff file /new\n", TREE)
case("chown_keeps_existing_directories", "FROM veneer/corpus\nCOPY --chown=app dir /data/sub\n", {"dir/deep/new": "N"})
case("chown_unknown_user", "FROM veneer/corpus\nCOPY --chown=nobody-knows file /new\n", TREE, fails="(?i)(unable to|invalid|unknown|no such|not found|find)")
case("chown_unknown_group", "FROM veneer/corpus\nCOPY --chown=app:nothing file /new\n", TREE, fails="(?i)(unable to|invalid|unknown|no such|not found|find)")
case("chown_names_of_the_target", "FROM %BASE% AS one\nFROM veneer/corpus\nCOPY --from=one --chown=app /data/file /new\n", before=[build("FROM veneer/corpus\nRUN sed -i s/1000/7777/ /etc/passwd\n")])
case("chown_without_passwd", "FROM scratch\nCOPY --chown=app file /new\n", TREE, fails="(?i)(passwd|unable to|invalid|unknown|no such|not found|find)")
case("chown_root_without_passwd", "FROM scratch\nCOPY --chown=root:root file /new\n", TREE, fails="(?i)(passwd|unable to|invalid|unknown|no such|not found|find)")
case("chown_numbers_without_passwd", "FROM scratch\nCOPY --chown=5:6 file /new\n", TREE)
case("chmod_octal", "FROM veneer/corpus\nCOPY --chmod=4711 file dir /new/\n", TREE)
case("chmod_octal_with_zero", "FROM veneer/corpus\nCOPY --chmod=0600 file /new\n", TREE)
case("chmod_and_chown", "FROM veneer/corpus\nCOPY --chown=app:app --chmod=640 dir /new\n", TREE)
case("chmod_keeps_symlinks", "FROM veneer/corpus\nCOPY --chmod=600 dir /new\n", TREE)
case(
    "chmod_symbolic",
    "FROM veneer/corpus\nCOPY --chmod=u=rwX,go=rX dir /new\nCOPY --chmod=+x file /x\nCOPY --chmod=g+s,o-r file /s\n",
    TREE,
    since="1.14",
    unsupported={"buildah": "it takes octal modes alone"},
    tree={
        "/new": "d 755 0:0 @1500000001",
        "/new/a": 'f 644 0:0 "A" @1500000002',
        "/new/link": "l 0:0 -> sub/b @1500000005",
        "/new/sub": "d 755 0:0 @1500000003",
        "/new/sub/b": 'f 755 0:0 "B" @1500000004',
        "/x": 'f 755 0:0 "F" @1500000006',
        "/s": 'f 2640 0:0 "F" @1500000006',
    },
)
case(
    "chmod_from_argument",
    "FROM veneer/corpus\nARG MODE=711\nCOPY --chmod=$MODE file /x\n",
    TREE,
    since="1.14",
    tree={"/x": 'f 711 0:0 "F" @1500000006'},
)
case("chmod_nonsense", "FROM veneer/corpus\nCOPY --chmod=rwx! file /x\n", TREE, fails="(?i)invalid chmod|octal|mode")
