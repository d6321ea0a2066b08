#include "tests/differential/subject.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "fs/control.h"
#include "store/base/beneath.h"
#include "store/base/unique_fd.h"
#include "tests/differential/bytes.h"
#include "tests/differential/sample_tree.h"
#include "tests/differential/tree_copy.h"
#include "tests/fs/work_dir.h"

namespace veneer::differential {

namespace {

constexpr auto kPatience = std::chrono::seconds(30);

Result<> MakeDir(const std::string& path) {
  if (mkdir(path.c_str(), 0755) != 0) return Errno("mkdir " + path);
  return {};
}

Result<int> Run(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  std::vector<std::string> copy = arguments;
  argv.reserve(copy.size() + 1);
  for (std::string& argument : copy) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = -1;
  int error = posix_spawn(&pid, argv[0], nullptr, nullptr, argv.data(), environ);
  if (error != 0) return Fail(error, arguments[0]);
  int status = 0;
  if (waitpid(pid, &status, 0) < 0) return Errno("waitpid");
  return status;
}

}  // namespace

Result<LowerTree> LowerTree::Make(const std::string& dir, LowerKind kind, uint64_t seed) {
  LowerTree tree;
  tree.kind_ = kind;
  tree.seed_ = seed;
  tree.merged_ = dir + "/merged";
  tree.bytes_ = dir + "/lower";
  TRY(MakeDir(dir));
  TRY(MakeDir(tree.merged_));
  TRY(MakeDir(tree.bytes_));
  TRY(MakeSampleTree(tree.merged_, seed));
  if (kind == LowerKind::kChain) {
    // The layers as an archive has them; every other chain grows as the store lets one grow.
    std::string unpacked = dir + "/layers";
    TRY(MakeDir(unpacked));
    TRY_ASSIGN(auto layers, SplitIntoLayers(tree.merged_, unpacked, LayerForm::kAufs, seed));
    std::reverse(layers.begin(), layers.end());
    std::string chain = fs::testing::MakeChain(layers, tree.bytes_, seed % 2 == 1);
    TRY(RemoveTree(AT_FDCWD, unpacked));
    tree.options_ = fmt::format("chain={},objects={}/objects", chain, tree.bytes_);
  } else {
    LayerForm form = seed % 3 == 2 ? LayerForm::kAufs : LayerForm::kOverlay;
    TRY_ASSIGN(auto layers, SplitIntoLayers(tree.merged_, tree.bytes_, form, seed));
    tree.options_ = "lowerdir=";
    for (const std::string& layer : layers) {
      tree.options_ += (layer == layers.front() ? "" : ":") + layer;
    }
  }
  TRY_ASSIGN(tree.fingerprint_, tree.Read(true));
  return tree;
}

Result<LowerTree::Fingerprint> LowerTree::Read(bool content) const {
  Fingerprint read;
  auto walk = [&](auto& self, const std::string& path) -> Result<> {
    struct stat st = {};
    if (lstat(path.c_str(), &st) != 0) return Errno(path);
    read.stat += fmt::format("{} {:o} {} {} {} {} {}.{} {}.{}\n", path, st.st_mode, st.st_uid,
                             st.st_gid, st.st_nlink, st.st_size, st.st_mtim.tv_sec,
                             st.st_mtim.tv_nsec, st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    if (content && S_ISREG(st.st_mode)) {
      TRY_ASSIGN(std::string bytes,
                 ReadFileAt(AT_FDCWD, path, static_cast<size_t>(st.st_size) + 1));
      read.content = read.content * 31 + HashOf(bytes);
    }
    if (!S_ISDIR(st.st_mode)) return {};
    TRY_ASSIGN(auto names, NamesIn(path));
    for (const std::string& name : names) TRY(self(self, path + "/" + name));
    return {};
  };
  TRY(walk(walk, bytes_));
  return read;
}

Result<> LowerTree::CheckUnchanged(bool content) const {
  TRY_ASSIGN(Fingerprint read, Read(content));
  if (content && read.content != fingerprint_.content) {
    return Invalid("bytes of the lower have changed");
  }
  const std::string& now = read.stat;
  const std::string& before = fingerprint_.stat;
  if (now == before) return {};
  size_t at = 0;
  while (at < now.size() && at < before.size() && now[at] == before[at]) ++at;
  size_t line = now.rfind('\n', at);
  line = line == now.npos ? 0 : line + 1;
  return Invalid("the lower has changed: " + now.substr(line, now.find('\n', at) - line));
}

Result<std::unique_ptr<MountSubject>> MountSubject::Make(const LowerTree& lower,
                                                         const std::string& dir,
                                                         const std::string& options,
                                                         const std::string& program) {
  TRY(MakeDir(dir));
  for (const char* name : {"/mnt", "/work"}) TRY(MakeDir(dir + name));
  // The root of a directory stack has its upper's attributes.
  TRY(CopyOne(lower.merged(), dir + "/upper"));
  TRY(CopyTimes(lower.merged(), dir + "/upper"));
  std::string all = fmt::format("{},upperdir={}/upper,workdir={}/work,log={}/log,uring",
                                lower.options(), dir, dir, dir);
  if (!options.empty()) all += "," + options;
  std::unique_ptr<MountSubject> subject(new MountSubject(dir, all, program));
  TRY(subject->Mount());
  return subject;
}

pid_t MountSubject::Daemon() const {
  auto text = ReadFileAt(AT_FDCWD, dir_ + "/work/lock", 64);
  return text ? atoi(text->c_str()) : -1;
}

Result<> MountSubject::Mount() {
  TRY_ASSIGN(int status, Run({program_, "-o", options_, path()}));
  if (status != 0) return Fail(EIO, fmt::format("veneerfs -o {}: status {}", options_, status));
  mounted_ = true;
  return {};
}

Result<> MountSubject::DropCaches() {
  // What every reconfiguration of a superblock begins with.
  UniqueFd mount(fspick(AT_FDCWD, path().c_str(), FSPICK_CLOEXEC));
  if (!mount || fsconfig(mount.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0) != 0) {
    return Errno("reconfigure " + path());
  }
  return {};
}

Result<> MountSubject::CheckModes() {
  fs::control::Stats stats = {};
  TRY_ASSIGN(UniqueFd root, OpenAt(AT_FDCWD, path(), O_RDONLY | O_DIRECTORY));
  if (ioctl(root.get(), fs::control::kStats, &stats) != 0) return Errno("statistics");
  if (stats.mode_violations != 0) return Fail(EIO, "the open modes' invariant does not hold");
  return {};
}

Result<> MountSubject::Unmount() {
  TRY(CheckModes());
  auto end = std::chrono::steady_clock::now() + kPatience;
  while (umount2(path().c_str(), 0) != 0) {
    if (errno != EBUSY || std::chrono::steady_clock::now() > end) return Errno("umount");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  mounted_ = false;
  // What the daemon holds until it changes nothing any more.
  UniqueFd lock(open((dir_ + "/work").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock) return Errno("work directory");
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (std::chrono::steady_clock::now() > end) return Fail(EBUSY, "the daemon outlives its mount");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  TRY_ASSIGN(auto left, NamesIn(dir_ + "/work/work"));
  if (!left.empty()) return Fail(ENOTEMPTY, "work/work has " + left.front());
  return {};
}

MountSubject::~MountSubject() {
  if (!mounted_) return;
  if (umount2(path().c_str(), 0) == 0) return;
  // A daemon that does not answer holds its callers up: it goes first.
  pid_t pid = Daemon();
  if (pid > 1) kill(pid, SIGKILL);
  umount2(path().c_str(), MNT_DETACH);
}

}  // namespace veneer::differential
