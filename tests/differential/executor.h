// Executor: does operations below one directory: the system calls of a worker process, with the
// descriptors and mappings it holds between them. Runs in the worker's process, single-threaded.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "store/base/unique_fd.h"
#include "tests/differential/op.h"

namespace veneer::differential {

// What stat says of a file, as far as two filesystems can agree on it.
struct FileStat {
  bool known = false;
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  uint64_t nlink = 0;
  int64_t size = 0;
  uint64_t rdev = 0;
  uint64_t ino = 0;
  uint64_t dev = 0;
  int64_t mtime_sec = 0;
  int64_t mtime_nsec = 0;
};
FileStat StatOf(const struct stat& st);

struct Reply {
  // Errors that no system call has.
  static constexpr int kSignal = 1000;    // + number: touching a mapping raised it
  static constexpr int kNotZeros = 2000;  // seek passed over bytes that are not zeros

  int error = 0;        // errno; 0: success
  int64_t value = 0;    // what the call returned, descriptors excepted
  uint64_t hash = 0;    // of the data read
  FileStat st;          // of the file the operation changed or looked at, afterwards
  std::string payload;  // names, for readdir; the target, for readlink; names for listxattr
};

class Executor {
 public:
  explicit Executor(std::string root);
  ~Executor() { Release(); }
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  Reply Execute(const Op& op);

 private:
  struct Slot {
    UniqueFd fd;
    std::vector<int64_t> positions;  // of a directory: behind each entry read since the start
  };
  struct Mapping {
    char* address = nullptr;
    size_t size = 0;
    bool shared = false;
  };

  // Closes and unmaps everything, so that the filesystem is not in use.
  void Release();
  void DropPages();  // of what is open, as far as they are clean
  bool EnterBase(const Op& op);
  int FdOf(int slot) const { return slot < 0 ? -1 : slots_[static_cast<size_t>(slot)].fd.get(); }

  int64_t OnName(const Op& op, Reply& reply);
  int64_t OnDescriptor(const Op& op, Reply& reply);
  int64_t OnMapping(const Op& op, Reply& reply);
  void CloseSlot(Slot& slot);
  int64_t OpenInto(const Op& op, int flags);
  int64_t ReadDir(const Op& op, Reply& reply);
  int64_t SeekDir(const Op& op);
  int64_t Seek(const Op& op);
  int64_t Touch(const Op& op, Reply& reply, const Mapping& mapping);
  void StatAfter(const Op& op, Reply& reply);

  const std::string root_;
  UniqueFd root_fd_;
  int base_ = -2;  // slot whose directory is the working directory; -1: the root; -2: none
  std::array<Slot, kSlots> slots_;
  std::array<Mapping, kMaps> maps_;
  std::string buffer_;
};

}  // namespace veneer::differential
