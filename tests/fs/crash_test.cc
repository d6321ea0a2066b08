// The daemon is killed at each dangerous spot; after a remount each file is the old one or the new
// one, nothing else has changed, and the mount can do again what was interrupted. What a directory
// stack leaves behind, the kernel's overlayfs shows in the same way.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <map>
#include <set>
#include <sstream>

#include "tests/fs/kernel_overlay.h"
#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {
namespace {

void Populate(const std::string& dir) {
  MakeDirs(dir + "/d/sub");
  MakeDirs(dir + "/empty");
  MakeDirs(dir + "/full");
  WriteFile(dir + "/f", "old");
  WriteFile(dir + "/g", "gold");
  WriteFile(dir + "/d/x", "old");
  WriteFile(dir + "/full/y", "why");
  WriteFile(dir + "/h1", "linked");
  ASSERT_EQ(link((dir + "/h1").c_str(), (dir + "/d/h2").c_str()), 0);
  ASSERT_EQ(link((dir + "/h1").c_str(), (dir + "/d/sub/h3").c_str()), 0);
}

// --- What is done. Errors are expected: the mount dies under it.

using Step = std::function<void(const std::string& mount)>;

void Quietly(int) {}

Step Append(const std::string& name) {
  return [name](const std::string& m) {
    int fd = open((m + name).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0) return;
    Quietly(static_cast<int>(write(fd, "+new", 4)));
    close(fd);
  };
}
Step Sync(const std::string& name) {
  return [name](const std::string& m) {
    int fd = open((m + name).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    Quietly(fdatasync(fd));
    close(fd);
  };
}
Step Chmod(const std::string& name, mode_t mode) {
  return [=](const std::string& m) { Quietly(chmod((m + name).c_str(), mode)); };
}
Step Truncate(const std::string& name) {
  return [=](const std::string& m) { Quietly(truncate((m + name).c_str(), 0)); };
}
Step Remove(const std::string& name) {
  return [=](const std::string& m) { Quietly(remove((m + name).c_str())); };
}
Step Mkdir(const std::string& name) {
  return [=](const std::string& m) { Quietly(mkdir((m + name).c_str(), 0755)); };
}
Step Create(const std::string& name) {
  return [=](const std::string& m) {
    int fd = open((m + name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0) close(fd);
  };
}
Step Symlink(const std::string& name) {
  return [=](const std::string& m) { Quietly(symlink("target", (m + name).c_str())); };
}
Step Link(const std::string& from, const std::string& to) {
  return [=](const std::string& m) { Quietly(link((m + from).c_str(), (m + to).c_str())); };
}
Step LinkTmpFile(const std::string& to) {
  return [=](const std::string& m) {
    int fd = open(m.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) return;
    std::string path = "/proc/self/fd/" + std::to_string(fd);
    Quietly(linkat(AT_FDCWD, path.c_str(), AT_FDCWD, (m + to).c_str(), AT_SYMLINK_FOLLOW));
    close(fd);
  };
}
Step Move(const std::string& from, const std::string& to, unsigned flags = 0) {
  return [=](const std::string& m) {
    Quietly(renameat2(AT_FDCWD, (m + from).c_str(), AT_FDCWD, (m + to).c_str(), flags));
  };
}

// --- Where the daemon is killed meanwhile.

enum class Form { kStack, kStubs, kChain };  // kStubs: a stack with metacopy=on
constexpr unsigned kInStack = 1, kInStubs = 2, kInChain = 4;
constexpr unsigned kInStacks = kInStack | kInStubs, kWithStubs = kInStubs | kInChain;
constexpr unsigned kEverywhere = kInStacks | kInChain;

struct Spot {
  unsigned forms;
  std::string point;  // with "@n" where an earlier passage is none of interest
  std::vector<Step> steps;
  // False: the kernel has the upper only once veneerfs had it. It believes a stub's size.
  bool kernel_first = true;
};

const std::vector<Spot>& Spots() {
  static const std::vector<Spot> spots = {
      // Copy-up: data, directories, stubs.
      {kEverywhere, "copy_up.before_data", {Append("/f")}},
      {kEverywhere, "copy_up.before_sync", {Append("/f")}},
      {kEverywhere, "copy_up.before_rename", {Append("/f")}},
      {kEverywhere, "copy_up.after_rename", {Append("/f")}},
      {kEverywhere, "copy_up.before_dir_rename", {Append("/d/x")}},
      {kEverywhere, "copy_up.before_rename", {Append("/d/x")}},
      {kEverywhere, "copy_up.before_rename", {Chmod("/f", 0600)}},
      {kEverywhere, "copy_up.after_rename", {Chmod("/f", 0600)}},
      {kEverywhere, "setattr.before_change", {Chmod("/f", 0)}},
      {kWithStubs, "copy_up.before_stub_data", {Chmod("/f", 0600), Append("/f")}},
      {kWithStubs, "copy_up.after_stub_emptied", {Chmod("/f", 0600), Append("/f")}},
      {kWithStubs, "copy_up.after_stub_data", {Chmod("/f", 0600), Append("/f")}},
      {kWithStubs, "copy_up.before_mark_removed", {Chmod("/f", 0600), Append("/f")}},
      {kWithStubs, "copy_up.after_mark_removed", {Chmod("/f", 0600), Append("/f")}},
      {kWithStubs,
       "copy_up.before_mark_removed",
       {Chmod("/f", 0600), Truncate("/f")},
       /*kernel_first=*/false},
      // Copies that become durable later.
      {kEverywhere, "fsync.before_sync", {Append("/f"), Sync("/f")}},
      {kEverywhere, "settle.before_sync", {Append("/f"), Sync("/f")}},
      {kEverywhere, "settle.before_unmark", {Append("/f"), Sync("/f")}},
      {kEverywhere, "settle.after_unmark", {Append("/f"), Sync("/f")}},
      {kEverywhere, "settle.before_unmark", {Append("/d/h2"), Sync("/h1")}},
      {kWithStubs, "settle.before_unmark", {Chmod("/f", 0600), Append("/f"), Sync("/f")}},
      // Hard links of the lower.
      {kInChain, "copy_up.after_journal", {Append("/h1")}},
      {kInChain, "copy_up.before_links", {Append("/h1")}},
      {kInChain, "copy_up.between_links", {Append("/d/h2")}},
      {kInChain, "copy_up.between_links@3", {Append("/d/h2")}},
      {kInChain, "copy_up.before_journal_removed", {Append("/d/h2")}},
      {kInStacks, "copy_up.before_index", {Append("/h1")}},
      {kInStacks, "copy_up.after_index", {Append("/h1")}},
      {kInStacks, "link_up.before_link", {Append("/h1")}},
      {kInStacks, "link_up.after_link", {Append("/h1")}},
      {kInStacks, "link_up.after_link@2", {Append("/h1"), Remove("/d/h2")}},
      {kInStacks, "copy_up.before_index", {Chmod("/h1", 0600)}},
      {kInStacks, "link_up.before_link", {Chmod("/h1", 0600)}},
      {kInStubs, "copy_up.after_stub_emptied", {Chmod("/h1", 0600), Append("/d/h2")}},
      {kInStacks, "link_up.before_link", {Remove("/d/h2")}},
      {kInStacks, "link_up.after_link", {Move("/d/h2", "/n")}},
      {kInStacks, "link_up.before_link", {Move("/f", "/h1")}},
      // Removing.
      {kEverywhere, "whiteout.before", {Remove("/f")}},
      {kEverywhere, "whiteout.after", {Remove("/f")}},
      {kEverywhere, "whiteout.before", {Append("/f"), Remove("/f")}},
      {kEverywhere, "whiteout.after", {Chmod("/f", 0600), Remove("/f")}},
      {kEverywhere, "whiteout.before", {Remove("/d/sub/h3")}},
      {kEverywhere, "whiteout.after", {Remove("/d/sub/h3")}},
      {kEverywhere, "whiteout.after@2", {Remove("/h1"), Remove("/d/h2")}},
      {kEverywhere, "whiteout.before_link", {Remove("/f")}},
      {kEverywhere, "whiteout.before_link@2", {Append("/f"), Remove("/g"), Remove("/f")}},
      {kInStacks, "unlink.before_index", {Remove("/h1"), Remove("/d/h2"), Remove("/d/sub/h3")}},
      {kEverywhere, "unlink.before", {Create("/n"), Remove("/n")}},
      {kEverywhere, "unlink.after", {Create("/n"), Remove("/n")}},
      {kEverywhere, "unlink.before", {Link("/h1", "/n"), Remove("/n")}},
      {kEverywhere, "unlink.after", {Link("/h1", "/n"), Remove("/n")}},
      {kEverywhere, "whiteout.before", {Remove("/empty")}},
      {kEverywhere, "rmdir.before_exchange", {Chmod("/empty", 0700), Remove("/empty")}},
      {kEverywhere, "rmdir.after_exchange", {Chmod("/empty", 0700), Remove("/empty")}},
      {kEverywhere, "rmdir.before_exchange", {Remove("/full/y"), Remove("/full")}},
      {kEverywhere, "rmdir.after_exchange", {Remove("/full/y"), Remove("/full")}},
      // Making.
      {kEverywhere, "create.after", {Create("/n")}},
      {kEverywhere, "create.after", {Mkdir("/d/n")}},
      {kEverywhere, "create.after", {Symlink("/n")}},
      {kEverywhere, "create.before_mark", {Remove("/f"), Mkdir("/f")}},
      {kEverywhere, "create.before_rename", {Remove("/f"), Mkdir("/f")}},
      {kEverywhere, "create.after", {Remove("/f"), Mkdir("/f")}},
      {kEverywhere, "create.before_rename", {Remove("/f"), Create("/f")}},
      {kEverywhere, "create.after", {Remove("/f"), Create("/f")}},
      {kEverywhere, "create.before_rename", {Remove("/empty"), Mkdir("/empty")}},
      {kEverywhere, "create.after", {Remove("/empty"), Mkdir("/empty")}},
      {kEverywhere, "link.before", {Link("/f", "/n")}},
      {kEverywhere, "create.after", {Link("/f", "/d/n")}},
      {kEverywhere, "create.before_rename", {Remove("/g"), Link("/f", "/g")}},
      {kEverywhere, "create.after", {Remove("/g"), Link("/d/x", "/g")}},
      {kEverywhere, "link.before", {Link("/h1", "/n")}},
      {kEverywhere, "create.after", {Link("/d/h2", "/n")}},
      {kEverywhere, "link.before", {LinkTmpFile("/n")}},
      {kEverywhere, "create.after", {LinkTmpFile("/n")}},
      {kEverywhere, "create.before_rename", {Remove("/f"), LinkTmpFile("/f")}},
      // Renaming: files, directories, over something, exchanged.
      {kEverywhere, "rename.before", {Move("/f", "/g")}},
      {kEverywhere, "rename.after", {Move("/f", "/g")}},
      {kEverywhere, "rename.before", {Move("/f", "/d/n", RENAME_NOREPLACE)}},
      {kEverywhere, "rename.after", {Move("/f", "/d/n", RENAME_NOREPLACE)}},
      {kEverywhere, "rename.before", {Chmod("/f", 0600), Move("/f", "/d/n")}},
      {kEverywhere, "rename.after", {Chmod("/f", 0600), Move("/f", "/d/n")}},
      {kEverywhere, "rename.before", {Remove("/g"), Move("/f", "/g")}},
      {kEverywhere, "rename.after", {Remove("/g"), Move("/f", "/g")}},
      {kEverywhere, "rename.before", {Move("/h1", "/n")}},
      {kEverywhere, "rename.after", {Move("/d/h2", "/n")}},
      {kEverywhere, "rename.before", {Move("/f", "/h1")}},
      {kEverywhere, "rename.after", {Move("/f", "/d/h2")}},
      {kEverywhere, "rename.before", {Move("/d", "/n")}},
      {kEverywhere, "rename.after", {Move("/d", "/n")}},
      {kEverywhere, "rename.after@2", {Move("/d", "/n"), Move("/n/sub", "/full/n")}},
      {kEverywhere, "rename.before", {Move("/d", "/empty")}},
      {kEverywhere, "rename.after", {Move("/d", "/empty")}},
      {kEverywhere, "rename.before", {Remove("/full/y"), Move("/d", "/full")}},
      {kEverywhere, "rename.after", {Remove("/full/y"), Move("/d", "/full")}},
      {kEverywhere, "rename.before", {Mkdir("/n"), Move("/n", "/empty")}},
      {kEverywhere, "rename.after", {Remove("/f"), Mkdir("/n"), Move("/n", "/f")}},
      {kEverywhere, "rename.before_leftover", {Remove("/f"), Mkdir("/n"), Move("/n", "/f")}},
      {kEverywhere, "rename.before_exchange", {Move("/d", "/g", RENAME_EXCHANGE)}},
      {kEverywhere, "rename.after_exchange", {Move("/d", "/g", RENAME_EXCHANGE)}},
      {kEverywhere, "rename.before_exchange", {Move("/d/x", "/f", RENAME_EXCHANGE)}},
      {kEverywhere, "rename.after_exchange", {Move("/d", "/full", RENAME_EXCHANGE)}},
      {kEverywhere, "rename.after_exchange", {Move("/h1", "/full/y", RENAME_EXCHANGE)}},
  };
  return spots;
}

struct Case {
  Form form;
  size_t spot;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (size_t i = 0; i < Spots().size(); ++i) {
    for (Form form : {Form::kStack, Form::kStubs, Form::kChain}) {
      if ((Spots()[i].forms & (1u << static_cast<unsigned>(form))) != 0) cases.push_back({form, i});
    }
  }
  return cases;
}

class Crash : public ::testing::TestWithParam<Case> {
 protected:
  const Spot& spot() const { return Spots()[GetParam().spot]; }
  bool stack() const { return GetParam().form != Form::kChain; }
};

// The lines of a TreeText() by their paths.
std::map<std::string, std::string> Lines(const std::string& tree) {
  std::map<std::string, std::string> lines;
  std::istringstream text(tree);
  for (std::string line; std::getline(text, line);) lines[line.substr(0, line.find(' '))] = line;
  return lines;
}

// Every entry is as it was before or after one of the steps, and is there unless one of them takes
// or brings it.
void ExpectOldOrNew(const std::string& tree, const std::vector<Step>& steps) {
  Scratch plain;
  Populate(plain.path());
  std::vector<std::map<std::string, std::string>> states = {Lines(TreeText(plain.path(), false))};
  std::set<std::string> paths;
  for (const Step& step : steps) {
    step(plain.path());
    states.push_back(Lines(TreeText(plain.path(), false)));
  }
  for (const auto& state : states) {
    for (const auto& [path, line] : state) paths.insert(path);
  }
  auto lines = Lines(tree);
  for (const auto& [path, line] : lines) {
    EXPECT_TRUE(paths.contains(path)) << "stray: " << line;
  }
  for (const std::string& path : paths) {
    std::set<std::string> allowed;  // an empty line: none
    for (const auto& state : states) {
      auto it = state.find(path);
      allowed.insert(it == state.end() ? "" : it->second);
    }
    std::string known;
    for (const std::string& line : allowed) known += "  '" + line + "'\n";
    EXPECT_TRUE(allowed.contains(lines[path])) << "is '" << lines[path] << "', not one of\n"
                                               << known;
  }
}

TEST_P(Crash, LeavesOldOrNew) {
  WorkDir work({.kind = stack() ? Kind::kStack : Kind::kChain,
                .populate = Populate,
                .options = GetParam().form == Form::kStubs ? "metacopy=on" : ""});
  std::string lower = work.LowerText();
  work.Unmount();
  size_t at = spot().point.find('@');
  work.Mount(spot().point.substr(0, at) + "=kill" +
             (at == std::string::npos ? "" : spot().point.substr(at)));
  for (const Step& step : spot().steps) step(work.path());
  work.AwaitDeath();  // or nothing passes the point
  ASSERT_FALSE(HasFailure());
  EXPECT_EQ(work.LowerText(), lower);
  std::string kernel;
  if (stack() && spot().kernel_first) {
    kernel = KernelView(work);
  }
  work.Mount();
  ExpectOldOrNew(TreeText(work.path(), false), spot().steps);
  std::string view = TreeText(work.path());
  if (!kernel.empty()) {
    EXPECT_EQ(kernel, view);
  }
  // And everything works again.
  for (const Step& step : spot().steps) step(work.path());
  for (const char* name : {"/h1", "/d/h2", "/f", "/g", "/full/y"}) Append(name)(work.path());
  view = TreeText(work.path());
  work.Remount();
  EXPECT_EQ(TreeText(work.path()), view);
  work.Unmount();
  EXPECT_TRUE(ListDir(work.work() + "/work").empty());
  EXPECT_EQ(work.LowerText(), lower);
  if (stack()) {
    EXPECT_EQ(KernelView(work), view);
  } else {
    EXPECT_TRUE(ListDir(work.work() + "/links").empty());
  }
}

// A symlink takes no attributes of users: what its owner is to be stands on a stand-in.
TEST(CrashedStandIn, LeavesTheOldOwner) {
  WorkDir work(
      {.kind = Kind::kStack,
       .populate =
           [](const std::string& dir) { ASSERT_EQ(symlink("target", (dir + "/s").c_str()), 0); },
       .options = "xattr_permissions=2"});
  std::string before = TreeText(work.path());
  work.Unmount();
  work.Mount("stand_in.before_rename=kill");
  Quietly(lchown((work / "s").c_str(), 5, 6));
  work.AwaitDeath();
  work.Mount();
  EXPECT_EQ(TreeText(work.path()), before);
  EXPECT_EQ(lchown((work / "s").c_str(), 5, 6), 0);
  work.Remount();
  EXPECT_EQ(Stat(work / "s").st_uid, 5u);
  EXPECT_EQ(Stat(work / "s").st_gid, 6u);
  work.Unmount();
  EXPECT_TRUE(ListDir(work.work() + "/work").empty());
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

std::string SpotName(const ::testing::TestParamInfo<Case>& test) {
  std::string name = Spots()[test.param.spot].point;
  for (char& c : name) c = c == '.' || c == '@' ? '_' : c;
  constexpr const char* kForms[] = {"Stack", "Stubs", "Chain"};
  return name + "_" + std::to_string(test.param.spot) +
         kForms[static_cast<size_t>(test.param.form)];
}

INSTANTIATE_TEST_SUITE_P(Each, Crash, ::testing::ValuesIn(Cases()), SpotName);

}  // namespace
}  // namespace veneer::fs::testing
