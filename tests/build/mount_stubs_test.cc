// What mounts are mounted on, before and after a step.
#include "tools/build/run/mount_stubs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/build/run_fixture.h"

namespace veneer::build {
namespace {

using test::Listing;

struct Stubs : testing::Test {
  std::vector<ContainerMount> Plan(const std::vector<StepMount>& mounts = {}) {
    MountOptions options;
    options.hosts = outside.At("hosts");
    options.resolv_conf = outside.At("resolv.conf");
    auto plan = PlanMounts(root.Open().get(), options, mounts);
    if (!plan) {
      error = plan.error().Message();
      return {};
    }
    return *plan;
  }
  StepMount Bind(const std::string& target, const std::string& source) {
    return {StepMount::Kind::kBind, outside.At(source), target};
  }

  void SetUp() override {
    outside.File("hosts", "");
    outside.File("resolv.conf", "");
    outside.File("file", "content");
    outside.Dir("directory");
    fd = root.Open();
  }

  test::RunDirectory root, outside;
  UniqueFd fd;
  std::string error;
};

TEST_F(Stubs, AreMadeWhereSomethingIsMissingAndTakenAway) {
  root.Dir("etc");
  root.Link("mnt", "srv/data");
  test::MakeOld(root.path());
  const std::string before = Listing(root.path());
  {
    auto stubs =
        MountStubs::Create(fd.get(), Plan({Bind("/a/b/c", "file"),
                                           Bind("/mnt", "directory"),
                                           {StepMount::Kind::kTmpfs, "", "/scratch", false}}));
    ASSERT_TRUE(stubs) << stubs.error().Message();
    struct stat st;
    for (const char* name : {"proc", "dev", "sys", "a/b", "srv/data"}) {
      ASSERT_EQ(lstat(root.At(name).c_str(), &st), 0) << name;
      EXPECT_EQ(st.st_mode, S_IFDIR | 0755U) << name;
    }
    for (const char* name : {"etc/hosts", "etc/resolv.conf", "a/b/c"}) {
      ASSERT_EQ(lstat(root.At(name).c_str(), &st), 0) << name;
      EXPECT_EQ(st.st_mode, S_IFREG | 0644U) << name;
    }
    ASSERT_EQ(lstat(root.At("scratch").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode, S_IFDIR | 01777U);
    EXPECT_NE(lstat(root.At("dev/pts").c_str(), &st), 0);  // in another mount
    EXPECT_NE(Listing(root.path()), before);
    ASSERT_TRUE(stubs->Remove());
  }
  EXPECT_EQ(Listing(root.path()), before);
}

TEST_F(Stubs, AreTakenAwayByTheDestructorToo) {
  test::MakeOld(root.path());
  const std::string before = Listing(root.path());
  ASSERT_TRUE(MountStubs::Create(fd.get(), Plan()));
  EXPECT_EQ(Listing(root.path()), before);
}

TEST_F(Stubs, WhatWasThereStays) {
  for (const char* name : {"proc", "dev", "sys", "etc", "empty"}) root.Dir(name);
  root.File("etc/hosts", "");
  root.File("etc/resolv.conf", "of the image");
  test::MakeOld(root.path());
  const std::string before = Listing(root.path());
  auto stubs = MountStubs::Create(fd.get(), Plan({Bind("/empty", "directory")}));
  ASSERT_TRUE(stubs);
  EXPECT_EQ(Listing(root.path()), before);
  ASSERT_TRUE(stubs->Remove());
  EXPECT_EQ(Listing(root.path()), before);
}

TEST_F(Stubs, WhatAStepDidBesideThemStays) {
  root.Dir("etc");
  test::MakeOld(root.path());
  auto stubs = MountStubs::Create(fd.get(), Plan({Bind("/made/here", "directory")}));
  ASSERT_TRUE(stubs);
  root.File("etc/new", "x");
  root.File("made/new", "y");
  const auto changed = std::filesystem::last_write_time(root.At("etc"));
  ASSERT_TRUE(stubs->Remove());
  EXPECT_EQ(std::filesystem::last_write_time(root.At("etc")), changed);
  EXPECT_TRUE(std::filesystem::exists(root.At("etc/new")));
  EXPECT_TRUE(std::filesystem::exists(root.At("made/new")));
  EXPECT_FALSE(std::filesystem::exists(root.At("made/here")));
  EXPECT_FALSE(std::filesystem::exists(root.At("etc/hosts")));
  EXPECT_FALSE(std::filesystem::exists(root.At("proc")));
}

TEST_F(Stubs, WhatAStepPutInTheirPlaceStaysAndNothingOutsideIsTouched) {
  auto stubs = MountStubs::Create(
      fd.get(), Plan({Bind("/a/file", "file"), Bind("/b/directory", "directory")}));
  ASSERT_TRUE(stubs);
  root.File("a/file", "not empty any more");
  std::filesystem::remove_all(root.At("b"));
  root.Link("b", outside.path());
  ASSERT_TRUE(stubs->Remove());
  EXPECT_EQ(test::ReadText(root.At("a/file")), "not empty any more");
  EXPECT_TRUE(std::filesystem::is_symlink(root.At("b")));
  EXPECT_TRUE(std::filesystem::exists(outside.At("directory")));
}

TEST_F(Stubs, AMountOnAnothersPlaceTakesItsTurn) {
  const auto plan = Plan({Bind("/dev/shm", "directory"), Bind("/etc/hosts", "file"),
                          Bind("/etc/../etc/hosts", "resolv.conf")});
  int hosts = 0, shm = 0;
  for (const ContainerMount& mount : plan) {
    if (mount.destination == "/etc/hosts") {
      ++hosts;
      EXPECT_EQ(mount.source, outside.At("resolv.conf"));
    }
    if (mount.destination == "/dev/shm") {
      ++shm;
      EXPECT_EQ(mount.type, "bind");
      EXPECT_TRUE(mount.within);
    }
  }
  EXPECT_EQ(hosts, 1);
  EXPECT_EQ(shm, 1);
}

TEST_F(Stubs, MountsThatDoNotFitAreErrors) {
  root.File("file", "");
  root.Dir("directory");
  Plan({Bind("/file", "directory")});
  EXPECT_EQ(error, "mount target /file is not a directory, what is mounted there is");
  Plan({Bind("/directory", "file")});
  EXPECT_EQ(error, "mount target /directory is a directory, what is mounted there is not");
  Plan({Bind("/x", "none")});
  EXPECT_EQ(error, "mount source " + outside.At("none") + ": No such file or directory");
  Plan({Bind("/directory/..", "directory")});
  EXPECT_EQ(error, "a mount cannot be on the root directory");
  root.Link("to-root", "/");
  Plan({Bind("/to-root", "directory")});
  EXPECT_EQ(error, "mount target /to-root is the root directory");
  root.Link("proc", "/directory");
  Plan();
  EXPECT_EQ(error, "/proc of the root filesystem is not a directory");
}

}  // namespace
}  // namespace veneer::build
