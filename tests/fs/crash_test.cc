// The daemon is killed at each dangerous spot; after a remount each file is the old one or the new
// one, the lower is unchanged, and the mount can do again what was interrupted.
#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

struct Spot {
  const char* point;
  std::function<void(const std::string&)> action;  // errors are expected: the mount dies under it
};

void Quietly(int) {}

void Append(const std::string& path) {
  int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return;
  Quietly(static_cast<int>(write(fd, "+new", 4)));
  close(fd);
}

void Populate(const std::string& dir) {
  MakeDirs(dir + "/d/sub");
  MakeDirs(dir + "/empty");
  WriteFile(dir + "/f", "old");
  WriteFile(dir + "/g", "gold");
  WriteFile(dir + "/d/x", "old");
  WriteFile(dir + "/h1", "linked");
  ASSERT_EQ(link((dir + "/h1").c_str(), (dir + "/d/h2").c_str()), 0);
  ASSERT_EQ(link((dir + "/h1").c_str(), (dir + "/d/sub/h3").c_str()), 0);
}

const std::vector<Spot>& Spots() {
  static const std::vector<Spot> spots = {
      {"copy_up.before_data", [](const std::string& m) { Append(m + "/f"); }},
      {"copy_up.before_sync", [](const std::string& m) { Append(m + "/f"); }},
      {"copy_up.before_rename", [](const std::string& m) { Append(m + "/f"); }},
      {"copy_up.after_rename", [](const std::string& m) { Append(m + "/f"); }},
      {"copy_up.before_dir_rename", [](const std::string& m) { Append(m + "/d/x"); }},
      {"copy_up.before_stub_data",
       [](const std::string& m) {
         Quietly(chmod((m + "/f").c_str(), 0600));
         Append(m + "/f");
       }},
      {"copy_up.before_mark_removed",
       [](const std::string& m) {
         Quietly(chmod((m + "/f").c_str(), 0600));
         Append(m + "/f");
       }},
      {"copy_up.before_mark_removed",
       [](const std::string& m) {
         Quietly(chmod((m + "/f").c_str(), 0600));
         Quietly(truncate((m + "/f").c_str(), 0));
       }},
      {"copy_up.before_links", [](const std::string& m) { Append(m + "/h1"); }},
      {"copy_up.between_links", [](const std::string& m) { Append(m + "/d/h2"); }},
      {"copy_up.before_index", [](const std::string& m) { Append(m + "/h1"); }},
      {"copy_up.after_index", [](const std::string& m) { Append(m + "/h1"); }},
      {"setattr.before_change",
       [](const std::string& m) { Quietly(chmod((m + "/f").c_str(), 0)); }},
      {"whiteout.before", [](const std::string& m) { Quietly(unlink((m + "/f").c_str())); }},
      {"whiteout.after", [](const std::string& m) { Quietly(unlink((m + "/f").c_str())); }},
      {"rmdir.before_exchange",
       [](const std::string& m) {
         Quietly(chmod((m + "/empty").c_str(), 0700));
         Quietly(rmdir((m + "/empty").c_str()));
       }},
      {"create.before_rename",
       [](const std::string& m) {
         Quietly(unlink((m + "/f").c_str()));
         Quietly(mkdir((m + "/f").c_str(), 0755));
       }},
      {"rename.before",
       [](const std::string& m) { Quietly(rename((m + "/f").c_str(), (m + "/g").c_str())); }},
      {"rename.after",
       [](const std::string& m) { Quietly(rename((m + "/f").c_str(), (m + "/g").c_str())); }},
      {"rename.before",
       [](const std::string& m) { Quietly(rename((m + "/d").c_str(), (m + "/empty").c_str())); }},
      {"rename.before_exchange",
       [](const std::string& m) {
         Quietly(renameat2(AT_FDCWD, (m + "/d").c_str(), AT_FDCWD, (m + "/g").c_str(),
                           RENAME_EXCHANGE));
       }},
  };
  return spots;
}

class Crash : public ::testing::TestWithParam<std::tuple<Kind, size_t>> {};

// "old" or "old+new"; nothing else, and not nothing unless the case removes it.
void CheckFile(const std::string& path, bool may_be_missing, bool may_be_empty) {
  if (!Exists(path)) {
    EXPECT_TRUE(may_be_missing) << path << " is gone";
    return;
  }
  if (!S_ISREG(Stat(path).st_mode)) return;  // exchanged, or made in its place
  std::string content = ReadFile(path);
  bool known = content == "old" || content == "old+new" || (may_be_empty && content.empty());
  EXPECT_TRUE(known) << path << " has '" << content << "'";
}

TEST_P(Crash, LeavesOldOrNew) {
  auto [kind, index] = GetParam();
  const Spot& spot = Spots()[index];
  WorkDir work(
      {.kind = kind, .populate = Populate, .options = "", .arguments = {}, .read_only = false});
  std::string lower = TreeText(work.lower());
  work.Unmount();
  work.Mount(std::string(spot.point) + "=kill");
  spot.action(work.path());
  bool hit = !Exists(work / ".");  // a dead mount answers nothing
  if (!hit) {
    // Not every point is on the way of every kind of lower (stubs, indexes).
    work.Unmount();
  } else {
    work.AwaitDeath();
  }
  EXPECT_EQ(TreeText(work.lower()), lower);
  work.Mount();
  std::string point = spot.point;
  bool removes =
      point.starts_with("whiteout") || point.starts_with("create") || point.starts_with("rename");
  CheckFile(work / "f", removes, true);
  if (!point.starts_with("rename")) CheckFile(work / "d/x", false, false);
  if (point == "rename.before" || point == "rename.after") {
    // One of the two files, or one of the two directories, complete.
    int files = (Exists(work / "f") ? 1 : 0) + (Exists(work / "g") ? 1 : 0);
    EXPECT_GE(files, 1);
    EXPECT_NE(Exists(work / "d/x"), Exists(work / "empty/x"));
  }
  // All names of the linked file are one file.
  std::string dir = Exists(work / "d/h2") ? "d" : Exists(work / "empty/h2") ? "empty" : "g";
  std::string content = ReadFile(work / "h1");
  EXPECT_TRUE(content == "linked" || content == "linked+new") << content;
  for (const std::string& name : {dir + "/h2", dir + "/sub/h3"}) {
    EXPECT_EQ(ReadFile(work / name), content) << name;
    EXPECT_EQ(Stat(work / name).st_ino, Stat(work / "h1").st_ino) << name;
    EXPECT_EQ(Stat(work / name).st_nlink, 3u) << name;
  }
  // And everything works again.
  AppendFile(work / (dir + "/h2"), "!");
  EXPECT_EQ(ReadFile(work / "h1"), content + "!");
  work.Unmount();
  EXPECT_TRUE(ListDir(work.work() + "/work").empty());
  EXPECT_EQ(TreeText(work.lower()), lower);
}

// A power cut may leave the marker of a stub, and bytes that were written after the data had come.
TEST(CrashedStub, IsFilledAnewWithTheLowersData) {
  auto populate = [](const std::string& dir) {
    UniqueFd fd = OpenFile(dir + "/sparse", O_RDWR | O_CREAT);
    ASSERT_EQ(pwrite(fd.get(), "x", 1, 1 << 20), 1);
  };
  WorkDir work({.kind = Kind::kChain,
                .populate = populate,
                .options = "",
                .arguments = {},
                .read_only = false});
  std::string content = ReadFile(work / "sparse");
  ASSERT_EQ(chmod((work / "sparse").c_str(), 0600), 0);
  work.Unmount();
  {
    UniqueFd fd = OpenFile(work.upper() + "/sparse", O_RDWR);
    ASSERT_EQ(pwrite(fd.get(), "later", 5, 4096), 5);
  }
  work.Mount();
  EXPECT_EQ(ReadFile(work / "sparse"), content);
  AppendFile(work / "sparse", "+");
  work.Remount();
  EXPECT_EQ(ReadFile(work / "sparse"), content + "+");
}

TEST(CrashedStub, WithoutItsMarkerKeepsItsBytes) {
  WorkDir work({.kind = Kind::kChain,
                .populate = Populate,
                .options = "",
                .arguments = {},
                .read_only = false});
  ASSERT_EQ(chmod((work / "f").c_str(), 0600), 0);
  std::string stub = work.upper() + "/f";
  {
    UniqueFd fd = OpenFile(stub, O_RDWR);
    ASSERT_EQ(pwrite(fd.get(), "OLD", 3, 0), 3);
  }
  ASSERT_EQ(removexattr(stub.c_str(), "trusted.overlay.metacopy"), 0);
  AppendFile(work / "f", "+");
  EXPECT_EQ(ReadFile(work / "f"), "OLD+");
  UniqueFd fd = OpenFile(work / "f", O_RDWR);
  EXPECT_EQ(fdatasync(fd.get()), 0);
}

std::string SpotName(const ::testing::TestParamInfo<std::tuple<Kind, size_t>>& test) {
  auto [kind, index] = test.param;
  std::string name = Spots()[index].point;
  for (char& c : name) c = c == '.' ? '_' : c;
  return name + std::to_string(index) + (kind == Kind::kStack ? "Stack" : "Chain");
}

INSTANTIATE_TEST_SUITE_P(Each, Crash,
                         ::testing::Combine(::testing::Values(Kind::kStack, Kind::kChain),
                                            ::testing::Range(size_t{0}, Spots().size())),
                         SpotName);

}  // namespace
}  // namespace veneer::fs::testing
