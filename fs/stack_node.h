// StackNode: where a directory stack keeps a file (LowerRef::node).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fs/fd_cache.h"
#include "fs/name_index.h"

namespace veneer::fs {

// A directory: the layers that merge in it. Anything else: a name in one part of a directory.
class StackNode {
 public:
  struct Part {
    size_t layer = 0;
    std::string path;  // from the layer's root; empty: the root
    uint64_t key = 0;  // in the descriptor cache
  };
  std::vector<Part> parts;
  std::string path;  // in the merged tree, from its root

  std::shared_ptr<const StackNode> dir;
  size_t dir_part = 0;
  std::string name;

  // Of a directory: system calls that an index would have spared, up to the number from which on
  // it may be worth while to make one.
  mutable std::atomic<uint32_t> probes{0};
  mutable std::atomic<uint32_t> enough_probes{kFewProbes};
  mutable std::atomic<bool> indexing{false};  // by a thread
  static constexpr uint32_t kFewProbes = 12;
  static constexpr uint32_t kNever = UINT32_MAX;

  FdCache* cache = nullptr;
  NameIndexCache* indexes = nullptr;  // directories that may have an index
  uint64_t index_key() const { return parts.front().key; }
  ~StackNode() {
    for (const Part& part : parts) cache->Erase(part.key);
    if (indexes != nullptr) indexes->Erase(index_key());
  }
};

}  // namespace veneer::fs
