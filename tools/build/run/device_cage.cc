#include "tools/build/run/device_cage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "store/base/beneath.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

constexpr std::string_view kHierarchy = "/sys/fs/cgroup/devices";
constexpr std::string_view kPrefix = "veneer-cage-";  // no container is called that
constexpr int kCreateTries = 5;  // somebody else may take an empty cage for a forgotten one
constexpr int kRemoveTries = 200;
constexpr std::chrono::milliseconds kRemovePause(
    1);  // a thread that has ended is in it for a while

// Docker's list: any node may be made, and these be opened.
constexpr const char* kAllowed[] = {
    "c *:* m",     "b *:* m",
    "c 1:3 rwm",    // null
    "c 1:5 rwm",    // zero
    "c 1:7 rwm",    // full
    "c 1:8 rwm",    // random
    "c 1:9 rwm",    // urandom
    "c 5:0 rwm",    // tty
    "c 5:2 rwm",    // ptmx
    "c 136:* rwm",  // pts
};

// Our own cgroup's folder in the hierarchy.
Result<std::string> OwnFolder() {
  struct statfs fs;
  const std::string hierarchy(kHierarchy);
  if (statfs(hierarchy.c_str(), &fs) != 0 || fs.f_type != CGROUP_SUPER_MAGIC)
    return Fail(ENOTSUP, "find the devices' cgroups");
  TRY_ASSIGN(const std::string text, ReadFileAt(AT_FDCWD, "/proc/self/cgroup", 64U << 10));
  for (const std::string& line : Split(text, '\n')) {  // "6:devices:/a/b"
    const std::vector<std::string> fields = Split(line, ':');
    if (fields.size() < 3 || fields[1] != "devices") continue;
    std::string folder = hierarchy + (fields[2] == "/" ? std::string() : fields[2]);
    if (access(folder.c_str(), W_OK) == 0) return folder;
  }
  return Fail(ENOTSUP, "find our devices' cgroup");
}

// The kernel does not remove one that a process is in.
void RemoveForgotten(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().filename().string().starts_with(kPrefix)) rmdir(entry.path().c_str());
  }
}

Result<> Write(const std::string& path, std::string_view text) {
  TRY_ASSIGN(const UniqueFd fd, OpenAt(AT_FDCWD, path, O_WRONLY));
  return WriteAll(fd.get(), text);
}

}  // namespace

Result<std::shared_ptr<DeviceCage>> DeviceCage::Create() {
  TRY_ASSIGN(const std::string folder, OwnFolder());
  RemoveForgotten(folder);
  Error last(ENOTSUP, "make a devices' cgroup");
  for (int i = 0; i < kCreateTries; ++i) {
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number) return Errno("getrandom");
    const std::string path = fmt::format("{}/{}{:016x}", folder, kPrefix, number);
    if (mkdir(path.c_str(), 0755) != 0) return Errno("make " + path);
    std::shared_ptr<DeviceCage> cage(new DeviceCage(path));
    const auto filled = cage->InCage([&path]() -> Result<> {
      TRY(Write(path + "/devices.deny", "a"));
      for (const char* device : kAllowed) TRY(Write(path + "/devices.allow", device));
      return Write(path + "/tasks", "0");  // the thread that writes
    });
    if (filled) return cage;
    last = filled.error();
  }
  return std::unexpected(last);
}

DeviceCage::~DeviceCage() {
  {
    MutexLock lock(mu_);
    thread_.reset();
  }
  for (int i = 0; i < kRemoveTries; ++i) {
    if (rmdir(path_.c_str()) == 0 || errno != EBUSY) return;
    std::this_thread::sleep_for(kRemovePause);
  }
}

Result<> DeviceCage::InCage(Worker::Job job) {
  MutexLock lock(mu_);
  // The worker ends with the first job that fails; the outcome is ours to tell.
  Result<> outcome;
  TRY(thread_->Give([&]() -> Result<> {
    outcome = job();
    return {};
  }));
  TRY(thread_->Finish());
  return outcome;
}

Result<ChildProcess> DeviceCage::Start(const std::vector<std::string>& words, int stdout_fd,
                                       int stderr_fd) {
  std::optional<Result<ChildProcess>> child;
  TRY(InCage([&]() -> Result<> {
    child.emplace(ChildProcess::Start(words, stdout_fd, stderr_fd));
    return {};
  }));
  return std::move(*child);
}

}  // namespace veneer::build
