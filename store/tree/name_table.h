// NameTable: the names of a tree while it is being collected, one node for each, in little memory.
//
// A node is a name in a directory; what it names is told by its kind and, for anything that has
// attributes, an index into the owner's inodes. About 20 bytes for each node, the name, and 5 to 11
// bytes of hash table. Not thread-safe.
#pragma once

#include <dirent.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace veneer::tree {

// A growing array that never copies what is in it, so that growing needs no second copy's memory.
template <typename T>
class ChunkedArray {
 public:
  size_t size() const { return size_; }
  void push_back(T value) {
    if (size_ % kChunk == 0) chunks_.push_back(std::make_unique_for_overwrite<T[]>(kChunk));
    chunks_[size_ / kChunk][size_ % kChunk] = value;
    ++size_;
  }
  T& operator[](size_t i) { return chunks_[i / kChunk][i % kChunk]; }
  const T& operator[](size_t i) const { return chunks_[i / kChunk][i % kChunk]; }

 private:
  static constexpr size_t kChunk = 16384;
  std::vector<std::unique_ptr<T[]>> chunks_;
  size_t size_ = 0;
};

using NodeId = uint32_t;
inline constexpr NodeId kRootNode = 0;
inline constexpr NodeId kNoNode = UINT32_MAX;

class NameTable {
 public:
  // A DT_ type, or:
  enum class Kind : uint8_t {
    kNone = DT_UNKNOWN,  // only a whiteout, or nothing yet
    kDir = DT_DIR,
    kSymlink = DT_LNK,
    kExternal = 255,  // a hard link to a path of the layers below
  };
  enum Flags : uint8_t {
    kWhiteout = 1,  // the name is also deleted from the layers below
    kOpaqueDir = 2,
    kDead = 4,  // replaced: Find does not lead here any more, nor to anything below
  };

  NameTable();  // with the root, a directory

  size_t size() const { return nodes_.size(); }
  NodeId Find(NodeId parent, std::string_view name) const;  // kNoNode where there is none
  // A new node of kind kNone. REQUIRES: Find() is kNoNode and !full(); `name` has 1 to 255 bytes.
  NodeId Insert(NodeId parent, std::string_view name);
  // Puts a new node in the place of `id`, with its name and nothing below it. REQUIRES: !full().
  NodeId Replace(NodeId id);
  // No more names can be added: 4 GiB of them, or 2^32 nodes.
  bool full() const;

  NodeId parent(NodeId id) const { return nodes_[id].parent; }
  std::string_view name(NodeId id) const;
  Kind kind(NodeId id) const { return nodes_[id].kind; }
  uint8_t flags(NodeId id) const { return nodes_[id].flags; }
  uint32_t inode(NodeId id) const { return nodes_[id].inode; }
  void Set(NodeId id, Kind kind, uint32_t inode) {
    nodes_[id].kind = kind;
    nodes_[id].inode = inode;
  }
  void SetFlag(NodeId id, Flags flag) { nodes_[id].flags |= flag; }

  // The path of a node, without a leading slash.
  std::string PathOf(NodeId id) const;
  // Gives the hash table's memory back; Find and Insert must not be called any more.
  void DropIndex() { slots_ = {}; }

 private:
  static constexpr size_t kArenaChunk = size_t{1} << 20;

  struct Node {
    NodeId parent;
    uint32_t name;  // in the arena
    uint32_t inode;
    uint8_t name_size;
    Kind kind;
    uint8_t flags;
  };
  static_assert(sizeof(Node) == 16);

  NodeId Append(NodeId parent, uint32_t name, uint8_t name_size);
  size_t SlotOf(NodeId parent,
                std::string_view name) const;  // its slot, or the empty one it would take
  void Grow();

  ChunkedArray<Node> nodes_;
  std::vector<std::unique_ptr<char[]>> arena_;
  size_t arena_used_ = kArenaChunk;  // of the last chunk
  std::vector<NodeId> slots_;        // open addressing; a power of two, at most 3/4 full
  size_t used_ = 0;
};

}  // namespace veneer::tree
