// The command line: every option of the programs it stands in for, and what is wrong with a bad
// one.
#include "fs/options.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

Result<Options> Parse(const std::string& options, bool as_root = true) {
  std::vector<std::string> args = {"-o", "lowerdir=a", "-o", options, "/mnt"};
  return ParseOptions(args, as_root);
}

TEST(OptionsTest, Lowerdir) {
  EXPECT_EQ(SplitLowerdir("a:b\\:c:d\\\\e"), (std::vector<std::string>{"a", "b:c", "d\\e"}));
  std::vector<std::string> args = {"-o", "lowerdir=a:b\\,c,ro", "src", "/mnt"};
  auto options = ParseOptions(args, true);
  ASSERT_TRUE(options);
  EXPECT_EQ(options->lowerdirs, (std::vector<std::string>{"a", "b,c"}));
  EXPECT_EQ(options->fsname, "src");
  EXPECT_TRUE(options->read_only);
}

TEST(OptionsTest, RingsAreLeftToUsAskedForOrForbidden) {
  auto rings = [](const std::string& options) {
    auto parsed = Parse(options);
    EXPECT_TRUE(parsed && parsed->ignored.empty()) << options;
    return parsed ? parsed->rings : RingUse::kNever;
  };
  EXPECT_EQ(rings("ro"), RingUse::kWhereMountsOutliveUs);
  EXPECT_EQ(rings("uring"), RingUse::kAlways);
  EXPECT_EQ(rings("no_uring"), RingUse::kNever);
  EXPECT_EQ(rings("no_uring,uring"), RingUse::kNever);
  EXPECT_EQ(rings("uring,no_uring"), RingUse::kNever);
}

TEST(OptionsTest, EveryOptionOfFuseOverlayfsIsKnown) {
  for (const char* option : {"redirect_dir=off",
                             "context=\"system_u:object_r:container_file_t:s0:c1,c2\"",
                             "uidmapping=0:1000:1:1:100000:65536",
                             "gidmapping=:0:1000:1:1:100000:65536",
                             "timeout=1.5",
                             "threaded=0",
                             "fsync=0",
                             "fsync=1",
                             "sync=0",
                             "volatile",
                             "fast_ino=1",
                             "fast_ino_check=0",
                             "writeback=1",
                             "noxattrs=1",
                             "noxattrs",
                             "plugins=/a:/b",
                             "squash_to_root",
                             "squash_to_uid=5",
                             "squash_to_gid=6",
                             "static_nlink",
                             "noacl",
                             "xino=off",
                             "xino=auto",
                             "xino=on",
                             "ino32_t",
                             "debug",
                             "allow_root",
                             "allow_other",
                             "default_permissions",
                             "suid",
                             "nosuid",
                             "dev",
                             "nodev",
                             "exec",
                             "noexec",
                             "atime",
                             "noatime",
                             "diratime",
                             "nodiratime",
                             "splice_write",
                             "splice_read",
                             "splice_move",
                             "kernel_cache",
                             "max_write=65536",
                             "ro",
                             "rw"}) {
    auto options = Parse(option);
    ASSERT_TRUE(options) << option << ": " << options.error().Message();
    EXPECT_TRUE(options->ignored.empty()) << option;
    EXPECT_EQ(options->lowerdirs, std::vector<std::string>{"a"}) << option;
  }
}

TEST(OptionsTest, WhatTheyMean) {
  auto off = Parse("redirect_dir=off,noxattrs,noacl,static_nlink,fsync=0,timeout=0.5,ro,rw");
  ASSERT_TRUE(off) << off.error().Message();
  EXPECT_FALSE(off->behaviour.write_redirects);
  EXPECT_FALSE(off->xattrs);
  EXPECT_FALSE(off->behaviour.acl);
  EXPECT_TRUE(off->behaviour.static_nlink);
  EXPECT_TRUE(off->is_volatile);
  EXPECT_EQ(off->timeout, 0.5);
  auto usual = Parse("redirect_dir=on,noxattrs=0,noacl=0,fsync=1,sync=1");
  ASSERT_TRUE(usual) << usual.error().Message();
  EXPECT_TRUE(usual->behaviour.write_redirects);
  EXPECT_TRUE(usual->xattrs);
  EXPECT_TRUE(usual->behaviour.acl);
  EXPECT_FALSE(usual->is_volatile);
  for (const char* order : {"squash_to_root,squash_to_uid=7", "squash_to_uid=7,squash_to_root"}) {
    auto squash = Parse(order);
    ASSERT_TRUE(squash);
    EXPECT_EQ(squash->ownership.squash_uid, 7u) << order;
    EXPECT_EQ(squash->ownership.squash_gid, 0u) << order;
  }
  auto label = Parse("context=\"a:b:c:s0:c1,c2\",nodev");
  ASSERT_TRUE(label);
  EXPECT_EQ(label->selinux, std::vector<std::string>{"context=\"a:b:c:s0:c1\\,c2\""});
  auto root = Parse("allow_root");
  ASSERT_TRUE(root);
  EXPECT_FALSE(root->allow_other);  // FUSE wants one of the two
  auto has = [](const Options& options, const char* word) {
    return std::find(options.mount_options.begin(), options.mount_options.end(), word) !=
           options.mount_options.end();
  };
  EXPECT_TRUE(has(*root, "noatime"));
  EXPECT_TRUE(has(*root, "suid"));
  EXPECT_FALSE(has(*Parse("atime"), "noatime"));
  EXPECT_FALSE(has(*Parse("ro", false), "suid"));
}

TEST(OptionsTest, BadValuesNameTheOption) {
  for (const std::string option : {"uidmapping=1:2",
                                   "uidmapping=a:b:c",
                                   "uidmapping=0:0:0",
                                   "uidmapping=0:4294967290:10",
                                   "uidmapping=0:0:10:5:100:1",
                                   "gidmapping=0:0:10:20:5:1",
                                   "gidmapping=",
                                   "squash_to_uid=x",
                                   "squash_to_gid=-1",
                                   "squash_to_uid=",
                                   "timeout=soon",
                                   "timeout=-1",
                                   "timeout=nan",
                                   "redirect_dir=maybe",
                                   "xino=perhaps",
                                   "max_write=1",
                                   "max_write=lots",
                                   "threaded=x",
                                   "fsync=no",
                                   "noxattrs=x",
                                   "writeback=",
                                   "fast_ino=y",
                                   "lease_fd=-4",
                                   "ino32_t=1"}) {
    auto options = Parse(option);
    ASSERT_FALSE(options) << option;
    std::string said = options.error().Message();
    EXPECT_NE(said.find(option.substr(0, option.find('='))), said.npos) << option << ": " << said;
    EXPECT_EQ(said.find('\n'), said.npos) << said;
  }
}

class MountedWith : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* dir : {"lower/d/sub", "upper", "work", "m"}) MakeDirs(scratch_ / dir);
    WriteFile(scratch_ / "lower/f", "lower");
  }
  void TearDown() override {
    umount2((scratch_ / "m").c_str(), MNT_DETACH);
    AwaitEnd();
  }
  void AwaitEnd() {
    for (int i = 0; i < 1000 && Exists(scratch_ / "work/lock"); ++i) usleep(5000);
  }
  RunResult Mount(const std::string& options) {
    return RunVeneerfs({"-o",
                        "lowerdir=" + (scratch_ / "lower") + ",upperdir=" + (scratch_ / "upper") +
                            ",workdir=" + (scratch_ / "work") + "," + options,
                        scratch_ / "m"});
  }
  std::string At(const std::string& name) { return scratch_ / "m/" + name; }
  Scratch scratch_;
};

TEST_F(MountedWith, OneWarningForUselessOptionsAndOneForUnknownOnes) {
  RunResult run = Mount("xino=off,writeback=1,whatever=3,plugins=a,else");
  ASSERT_EQ(run.status, 0) << run.error;
  EXPECT_NE(run.error.find("without use here: xino=off, writeback=1, plugins=a\n"),
            std::string::npos)
      << run.error;
  EXPECT_NE(run.error.find("not known, and ignored: whatever=3, else\n"), std::string::npos)
      << run.error;
  EXPECT_EQ(std::count(run.error.begin(), run.error.end(), '\n'), 2) << run.error;
}

TEST_F(MountedWith, NoxattrsHasNone) {
  ASSERT_EQ(Mount("noxattrs=1").status, 0);
  EXPECT_EQ(setxattr(At("f").c_str(), "user.x", "1", 1, 0), -1);
  EXPECT_EQ(errno, ENOTSUP);
  EXPECT_EQ(listxattr(At("f").c_str(), nullptr, 0), -1);
  EXPECT_EQ(errno, ENOTSUP);
}

TEST_F(MountedWith, NoaclHasAttributesButNoAcls) {
  std::string set = "setfacl -m u:99:r,m::rw '" + (scratch_ / "lower/f") + "'";
  ASSERT_EQ(std::system(set.c_str()), 0);
  ASSERT_EQ(Mount("noacl").status, 0);
  EXPECT_EQ(setxattr(At("f").c_str(), "user.x", "1", 1, 0), 0);
  EXPECT_EQ(getxattr(At("f").c_str(), "system.posix_acl_access", nullptr, 0), -1);
  EXPECT_EQ(errno, ENOTSUP);
  EXPECT_EQ(Xattr(scratch_ / "upper/f", "system.posix_acl_access"), "");
  EXPECT_EQ(Stat(At("f")).st_mode & 0777, 0664u);
}

TEST_F(MountedWith, StaticNlink) {
  ASSERT_EQ(Mount("static_nlink").status, 0);
  MakeDirs(At("new/sub"));
  for (const char* dir : {"", "d", "new"}) EXPECT_EQ(Stat(At(dir)).st_nlink, 1u) << dir;
  EXPECT_EQ(Stat(At("f")).st_nlink, 1u);
}

TEST_F(MountedWith, RedirectDirOffMovesOnlyWhatNeedsNone) {
  ASSERT_EQ(Mount("redirect_dir=off").status, 0);
  EXPECT_EQ(rename(At("d").c_str(), At("e").c_str()), -1);
  EXPECT_EQ(errno, EXDEV);
  MakeDirs(At("d/made"));
  EXPECT_EQ(rename(At("d/made").c_str(), At("made").c_str()), 0);
  EXPECT_EQ(renameat2(AT_FDCWD, At("made").c_str(), AT_FDCWD, At("d").c_str(), RENAME_EXCHANGE),
            -1);
  EXPECT_EQ(errno, EXDEV);
  EXPECT_EQ(rename(At("f").c_str(), At("g").c_str()), 0);
  EXPECT_EQ(std::system(("mv '" + At("d") + "' '" + At("e") + "'").c_str()), 0);  // copies
  EXPECT_TRUE(Exists(At("e/sub")));
  EXPECT_FALSE(Exists(At("d")));
}

TEST_F(MountedWith, TimeoutLetsChangesBehindTheMountShow) {
  ASSERT_EQ(Mount("timeout=0").status, 0);
  AppendFile(At("f"), "");
  ASSERT_EQ(chmod(At("f").c_str(), 0640), 0);
  EXPECT_EQ(Stat(At("f")).st_mode & 0777, 0640u);
  ASSERT_EQ(chmod((scratch_ / "upper/f").c_str(), 0604), 0);
  EXPECT_EQ(Stat(At("f")).st_mode & 0777, 0604u);
}

TEST_F(MountedWith, MountFlagsAreTheKernels) {
  ASSERT_EQ(Mount("nosuid,nodev,noexec,nodiratime,max_write=65536").status, 0);
  struct statvfs st = {};
  ASSERT_EQ(statvfs((scratch_ / "m").c_str(), &st), 0);
  EXPECT_EQ(st.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC), ST_NOSUID | ST_NODEV | ST_NOEXEC);
  std::string big(1 << 20, 'x');
  WriteFile(At("big"), big);
  EXPECT_EQ(ReadFile(At("big")), big);
}

// What it is called: by a link of the name, in the way of mount(8)'s helpers, through mount(8).
TEST_F(MountedWith, GoesByOtherNames) {
  std::string bin = scratch_ / "bin";
  MakeDirs(bin);
  for (const char* name : {"fuse-overlayfs", "mount.fuse3.veneerfs", "veneerfs"}) {
    std::filesystem::create_symlink(VENEER_BIN "/veneerfs", bin + "/" + name);
  }
  std::string options = "-o lowerdir=" + (scratch_ / "lower") +
                        ",upperdir=" + (scratch_ / "upper") + ",workdir=" + (scratch_ / "work");
  std::string target = scratch_ / "m";
  std::string read = " && grep -q lower " + At("f") + " && umount " + target;
  for (const std::string& command :
       {bin + "/fuse-overlayfs " + options + " " + target + read,
        bin + "/mount.fuse3.veneerfs overlay " + target + " -n " + options +
            ",rw -t fuse3.veneerfs" + read,
        "PATH=" + bin + ":$PATH mount.fuse3 overlay " + target + " " + options + " -t veneerfs" +
            read,
        // mount(8) looks in the system's own folders only.
        "unshare -m sh -c 'mount --bind " + bin + " /usr/local/sbin && mount -t fuse.veneerfs " +
            options + " overlay " + target + read + "'"}) {
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    AwaitEnd();
  }
  for (const char* flag : {"-h", "-V", "--help", "--version"}) {
    EXPECT_EQ(std::system((bin + "/fuse-overlayfs " + flag + " >/dev/null").c_str()), 0) << flag;
  }
}

}  // namespace
}  // namespace veneer::fs::testing
