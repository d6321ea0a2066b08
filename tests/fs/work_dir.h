// WorkDir: a directory to work in, of one of three kinds with the same content: a plain directory
// of the host (the oracle), a mount of a directory stack, a mount of a store chain. Tests say what
// POSIX says; the oracle keeps them honest.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/base/unique_fd.h"

namespace veneer::fs::testing {

enum class Kind { kPlain, kStack, kChain };
std::string KindName(const ::testing::TestParamInfo<Kind>& info);

// The mount namespace that the tests were started in; they have one of their own.
int MountNamespaceOutside();

// A temporary folder, removed with everything in it.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Helpers that fail the test when the call fails.
void WriteFile(const std::string& path, const std::string& content, mode_t mode = 0644);
void AppendFile(const std::string& path, const std::string& content);
std::string ReadFile(const std::string& path);
void MakeDirs(const std::string& path);
struct stat Stat(const std::string& path);  // lstat
bool Exists(const std::string& path);
UniqueFd OpenFile(const std::string& path, int flags, mode_t mode = 0644);
std::string ReadFd(int fd);                                 // all of it, from offset 0
std::vector<std::string> ListDir(const std::string& path);  // sorted, without "." and ".."
std::string Xattr(const std::string& path, const std::string& name);  // "" where there is none
// Every entry below `path` with type, mode, owner, size, link identity, times, xattrs and content:
// equal trees, equal text.
std::string TreeText(const std::string& path, bool times = true);

// Runs veneerfs on `options`; its exit status, and what it wrote to stderr.
struct RunResult {
  int status = 0;
  std::string error;
};
RunResult RunVeneerfs(const std::vector<std::string>& args, const std::string& faults = "",
                      rlim_t descriptors = 0);

// Turns the directories `sources`, the lowest first, into the layers of a store chain:
// `store`/objects and a tree file in `store`. Whiteouts and opaque directories are as in a layer's
// archive, `.wh.NAME` and `.wh..wh..opq`. The tree is merged from all layers at once or,
// `one_by_one`, each layer on what is below it. Returns the tree file's path.
std::string MakeChain(const std::vector<std::string>& sources, const std::string& store,
                      bool one_by_one = false);

// A mount, or a plain directory. Unmounts itself.
class WorkDir {
 public:
  struct Setup {
    Kind kind = Kind::kPlain;
    std::function<void(const std::string& dir)> populate;  // the lower's content
    std::string options = {};                              // further mount options
    std::vector<std::string> arguments = {};
    bool read_only = false;
    // Further layers on top, the lowest first. In a plain directory they add to what is there.
    std::vector<std::function<void(const std::string& dir)>> above = {};
    bool host_rules = false;  // true: io_uring is used only where veneerfs itself sees fit
    bool mounted = true;      // false: all is made ready, for somebody else to mount
    rlim_t descriptors = 0;   // RLIMIT_NOFILE of the daemon; 0: the caller's
  };
  explicit WorkDir(Setup setup);
  ~WorkDir();

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  bool mounted() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  std::string upper() const { return scratch_ / "upper"; }
  std::string work() const { return scratch_ / "work"; }
  std::string lower() const;      // what the lower's bytes are in: the directory, or the objects
  std::string LowerText() const;  // of all layers, as TreeText()
  std::string lowerdirs() const;  // of a stack, separated by colons
  std::string mount_options() const;
  const std::string& scratch() const { return scratch_.path(); }

  void Mount(const std::string& faults = "");
  void Unmount();     // and waits until the daemon is gone
  void Remount();     // nothing for a plain directory
  void Kill();        // SIGKILL, then takes the dead mount away
  void AwaitDeath();  // of a daemon that a fault point kills; then as Kill()

 private:
  void Detach();
  Setup setup_;
  Scratch scratch_;
  std::vector<std::string> layers_;  // the lowest first
  std::string path_;
  std::string chain_;
  pid_t pid_ = -1;
};

// Every test with a WorkDir over each kind. Populate() may be overridden.
class OverEachKind : public ::testing::TestWithParam<Kind> {
 protected:
  virtual void Populate(const std::string& /*dir*/) {}
  virtual std::string Options() const { return ""; }
  void SetUp() override;
  void TearDown() override { work_.reset(); }
  bool plain() const { return GetParam() == Kind::kPlain; }
  WorkDir& work() { return *work_; }
  std::string At(const std::string& name) { return *work_ / name; }

 private:
  std::unique_ptr<WorkDir> work_;
};

// Instantiates over all kinds, or over the mounts alone.
#define VENEER_OVER_EACH_KIND(suite)                                                          \
  INSTANTIATE_TEST_SUITE_P(                                                                   \
      Each, suite,                                                                            \
      ::testing::Values(veneer::fs::testing::Kind::kPlain, veneer::fs::testing::Kind::kStack, \
                        veneer::fs::testing::Kind::kChain),                                   \
      veneer::fs::testing::KindName)
#define VENEER_OVER_MOUNTS(suite)                                                              \
  INSTANTIATE_TEST_SUITE_P(                                                                    \
      Each, suite,                                                                             \
      ::testing::Values(veneer::fs::testing::Kind::kStack, veneer::fs::testing::Kind::kChain), \
      veneer::fs::testing::KindName)

}  // namespace veneer::fs::testing
