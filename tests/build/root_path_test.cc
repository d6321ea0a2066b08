// Paths in a root filesystem that somebody else made.
#include "tools/build/run/root_path.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/build/run_fixture.h"

namespace veneer::build {
namespace {

struct RootPaths : testing::Test {
  void SetUp() override {
    outside.File("secret", "outside");
    root.Dir("usr/bin");
    root.File("etc/passwd", "inside");
    root.Link("bin", "usr/bin");
    root.Link("absolute", "/usr/bin");
    root.Link("up", "../../../../../etc");
    root.Link("out", outside.path());
    root.Link("dangling", "../run/none/file");
    root.Link("loop", "loop");
    root.Link("long/chain", "../bin/../../etc/./passwd");
    fd = root.Open();
  }

  std::string Resolve(const std::string& path, bool exists) {
    const auto found = ResolveInRoot(fd.get(), path);
    if (!found) return "error: " + found.error().Message();
    EXPECT_EQ(found->exists, exists) << path;
    return found->path;
  }

  test::RunDirectory root, outside;
  UniqueFd fd;
};

TEST_F(RootPaths, SymlinksLeadSomewhereInTheRoot) {
  EXPECT_EQ(Resolve("/usr/bin", true), "usr/bin");
  EXPECT_EQ(Resolve("/bin", true), "usr/bin");
  EXPECT_EQ(Resolve("/absolute/x/y", false), "usr/bin/x/y");
  EXPECT_EQ(Resolve("/up/passwd", true), "etc/passwd");
  EXPECT_EQ(Resolve("/long/chain", true), "etc/passwd");
  EXPECT_EQ(Resolve("/dangling", false), "run/none/file");
  EXPECT_EQ(Resolve("/../../etc/passwd", true), "etc/passwd");
  EXPECT_EQ(Resolve("//etc/./../etc//passwd", true), "etc/passwd");
  EXPECT_EQ(Resolve("/none/../etc", true), "etc");
  EXPECT_EQ(Resolve("/none/a/..", false), "none");
  EXPECT_EQ(Resolve("/", true), "");
  EXPECT_EQ(Resolve("/etc/passwd/below", false), "etc/passwd/below");
  // The same name, but in here.
  EXPECT_EQ("/" + Resolve("/out/secret", false), outside.At("secret"));
  EXPECT_TRUE(Resolve("/loop", false).starts_with("error: resolve /loop: Too many"));
  EXPECT_TRUE(Resolve("/" + std::string(300, 'a'), false).ends_with("File name too long"));
}

TEST_F(RootPaths, WhatAMountCoversIsTakenAsWritten) {
  const auto covered = [](const std::string& path) { return path == "usr"; };
  EXPECT_EQ(ResolveInRoot(fd.get(), "/usr/link/x", covered)->path, "usr/link/x");
  root.Link("usr/link", "/etc");
  EXPECT_EQ(ResolveInRoot(fd.get(), "/usr/link/x", covered)->path, "usr/link/x");
  EXPECT_EQ(ResolveInRoot(fd.get(), "/usr/link/x")->path, "etc/x");
}

TEST_F(RootPaths, FilesAreReadInTheRootOnly) {
  EXPECT_EQ(ReadFileInRoot(fd.get(), "up/passwd", 100).value(), "inside");
  EXPECT_EQ(ReadFileInRoot(fd.get(), "out/secret", 100).error().code(), ENOENT);
  EXPECT_EQ(ReadFileInRoot(fd.get(), "etc/passwd", 5).error().code(), EFBIG);
  EXPECT_EQ(ReadFileInRoot(fd.get(), "etc", 100).error().code(), EINVAL);
  ASSERT_EQ(mkfifo(root.At("fifo").c_str(), 0600), 0);
  EXPECT_EQ(ReadFileInRoot(fd.get(), "fifo", 100).error().code(), EINVAL);
}

}  // namespace
}  // namespace veneer::build
