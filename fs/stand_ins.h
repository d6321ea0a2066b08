// StandIns: attributes for files of an upper that take none. The kernel refuses user.* attributes
// on symlinks, FIFOs, sockets and devices; what an upper must remember of one is put on its
// stand-in, an empty file in work/standins (docs/upper-format.md "Work").
//
// A stand-in belongs to an inode of the upper's filesystem, so renames and links of the file do not
// concern it. It is put in place complete, by one rename, and before the file gets its name; one
// that outlives its file in a crash is known by the file's birth time. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_set>

#include "fs/xattr_io.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer::fs {

class StandIns {
 public:
  // `dir` is work/standins, `temporary` work/work; both outlive this.
  Result<> Load(int dir, int temporary);

  // The stand-in of `file`; nullopt where it has none,
  // needs none, or is gone.
  std::optional<FileAt> Find(const FileAt& file) const;
  // Likewise; made where there is none. EPERM: `file` takes attributes itself.
  Result<FileAt> Make(const FileAt& file);
  bool any() const { return any_; }
  // The file with inode number `ino` is gone, or is a new one.
  void Erase(uint64_t ino);

 private:
  struct Key {
    uint64_t ino = 0;
    std::string birth;  // "" where the host's filesystem has none
  };
  static std::optional<Key> KeyOf(const FileAt& file);
  FileAt PlaceOf(uint64_t ino) const;
  bool Has(uint64_t ino) const;

  int dir_ = -1;
  int temporary_ = -1;
  std::atomic<bool> any_{false};  // spares the usual upper the looking
  std::atomic<uint64_t> next_name_{0};
  mutable std::shared_mutex mu_;
  std::unordered_set<uint64_t> inos_;  // guarded by mu_
};

}  // namespace veneer::fs
