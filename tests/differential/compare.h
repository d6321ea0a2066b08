// Comparison: what must be the same on both sides, after each operation and over the whole trees.
//
// Compared: errors, results, data, and of each file type, mode, owner, size, link count, device,
// modification time, xattrs, content, and which names are one file. Inode numbers differ between
// the sides, but a file must keep the one it was first seen with. The differences that are allowed
// are in differences.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tests/differential/executor.h"
#include "tests/differential/model.h"
#include "tests/differential/op.h"

namespace veneer::differential {

class Comparison {
 public:
  // `plain` and `mount` are the roots. `merged_dirs`: directories may be merged from several
  // layers, and their link count unknown.
  Comparison(std::string plain, std::string mount, bool merged_dirs)
      : plain_(std::move(plain)), mount_(std::move(mount)), merged_dirs_(merged_dirs) {}

  // "what: how it differs"; the part before the colon says what kind of difference it is.
  using Difference = std::optional<std::string>;

  // `target`: what the operation was on, if there was such a file.
  Difference AfterOp(const Op& op, const Node* target, const Model::Applied& applied,
                     const Reply& plain, const Reply& mount);
  // All of it; also that the model is right about the names. Unless `all`,
  // of the mount only what operations have been on since it was last compared.
  Difference Trees(const Model& model, bool all);

  // An operation was on the file, or changed its names.
  void Touched(uint64_t plain_ino) {
    touched_.insert(plain_ino);
    ever_touched_.insert(plain_ino);
  }
  // What was compared before came from caches that are gone now.
  void Dropped() { touched_ = ever_touched_; }
  // Mounted again: so are they, and st_dev may be another one from now on; st_ino not.
  void Remounted() {
    Dropped();
    mount_dev_ = 0;
  }
  // The file's time is the kernel's own business from now on: a mapping has written it, or a FIFO
  // or device got data.
  void TimeUnsure(uint64_t plain_ino) { unsure_.insert(plain_ino); }
  // A mapping has written the file. The pages may be written back after security.capability was
  // set, and take it away; on the plain side they do not.
  void MappingWrote(uint64_t plain_ino) {
    TimeUnsure(plain_ino);
    mapped_writes_.insert(plain_ino);
  }
  void TimeSure(uint64_t plain_ino) { unsure_.erase(plain_ino); }

 private:
  struct Walk;
  Difference Stats(const FileStat& plain, const FileStat& mount) const;
  Difference Numbers(const FileStat& plain, const FileStat& mount, bool created);
  bool MayLoseCapability(uint64_t plain_ino) const;
  bool ShowsLostCapability(const Op& op, const Node* target, const Reply& plain,
                           const Reply& mount) const;
  Difference Entry(Walk& walk, const std::string& relative, const FileStat& plain);
  Difference Below(Walk& walk, const std::string& relative);

  const std::string plain_;
  const std::string mount_;
  const bool merged_dirs_;
  uint64_t mount_dev_ = 0;
  std::unordered_map<uint64_t, uint64_t> numbers_;  // of the plain side → of the mount
  std::unordered_set<uint64_t> unsure_;             // plain inodes; so are these:
  std::unordered_set<uint64_t> mapped_writes_;
  std::unordered_set<uint64_t> touched_;  // not compared since
  std::unordered_set<uint64_t> ever_touched_;
};

}  // namespace veneer::differential
