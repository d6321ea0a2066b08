// Model: the names, files and open descriptors that a run should have by now, followed from the
// operations that succeeded on the plain side. It chooses nothing and checks nothing itself: the
// generator asks it what exists, the coverage table what state a file is in, the listings which
// names come and go.
#pragma once

#include <sys/stat.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/base/result.h"
#include "tests/differential/executor.h"
#include "tests/differential/op.h"

namespace veneer::differential {

struct Node;
using NodePtr = std::shared_ptr<Node>;

struct Node {
  mode_t mode = 0;   // with the type
  std::string name;  // of a directory, in its parent
  uid_t uid = 0;
  gid_t gid = 0;
  int64_t size = 0;
  std::string target;  // of a symlink
  uint64_t ino = 0;    // on the plain side
  std::set<std::string> xattrs;
  // What the mount has done with it, as far as operations tell.
  bool lower = false;  // was in the lower
  bool meta = false;   // attributes changed, or names
  bool data = false;   // data changed, or opened to be
  bool moved = false;  // a directory that was renamed
  int links = 0;       // names
  int readers = 0;     // descriptors open for reading only
  int writers = 0;
  int maps = 0;
  // Of a directory.
  Node* parent = nullptr;  // nullptr: the root, or removed
  std::map<std::string, NodePtr> entries;

  bool IsDir() const { return S_ISDIR(mode); }
  bool IsReg() const { return S_ISREG(mode); }
  bool IsLink() const { return S_ISLNK(mode); }
};

// A name, and what it stands for.
struct Place {
  NodePtr dir;  // where the last component is looked up; nullptr: the path leads nowhere
  std::string name;
  NodePtr node;  // nullptr: no such name
};

class Model {
 public:
  struct Slot {
    NodePtr node;
    uint32_t flags = 0;
    bool writable() const { return (flags & 3U) != 0; }
  };
  struct Mapping {
    NodePtr node;
    int64_t off = 0;
    int64_t len = 0;
    uint32_t flags = 0;
  };

  // `stubs`: changed attributes alone bring no data to the upper.
  explicit Model(bool stubs) : stubs_(stubs) {}
  Result<> Load(const std::string& dir);

  // Told of each name that appears in or goes from a directory.
  std::function<void(const Node* dir, const std::string& name, bool added)> on_name;
  // Told of each file whose attributes, names or data change; not of what mappings write.
  std::function<void(const Node& node)> on_touched;

  Place Resolve(const Op& op, const std::string& path, bool follow) const;
  // The file an operation is on; an empty place for descriptors that are not open.
  Place TargetOf(const Op& op) const;

  // Whether a name of the operation leads above the root, by way of a symlink that says "..": what
  // is there is no part of either side.
  bool LeavesTree(const Op& op) const;

  struct Applied {
    NodePtr node;          // what `plain.st` describes
    bool created = false;  // it did not exist before
  };
  // The operation had this result on the plain side.
  Applied Apply(const Op& op, const Reply& plain);

  const NodePtr& root() const { return root_; }
  const Slot& slot(int worker, int slot) const { return slots_[Index(worker)][Index(slot)]; }
  const Mapping& mapping(int worker, int map) const { return maps_[Index(worker)][Index(map)]; }
  std::string PathOf(const Node* dir, const std::string& name) const;
  bool UnderMoved(const Node* node) const;

  // All names, in no order; valid until the next Apply().
  struct Ref {
    const Node* dir;
    const std::string* name;
    const Node* node;
  };
  const std::vector<Ref>& names() const { return names_; }
  // "d path" per name, sorted: to compare with what is there.
  std::vector<std::string> Listing() const;

 private:
  void AddRef(const Node* dir, const std::string& name, const Node* node);
  void RemoveRef(const std::string& name);
  void AddRefsBelow(const Node* dir);
  static size_t Index(int i) { return static_cast<size_t>(i); }
  NodePtr Walk(NodePtr from, const std::string& path, bool follow, Place* last, int depth) const;
  void Touched(Node& node, bool data);
  void DirTouched(Node* dir);
  void AddName(const NodePtr& dir, const std::string& name, const NodePtr& node);
  void RemoveName(const NodePtr& dir, const std::string& name);
  void Rename(const Op& op);
  void SetSlot(int worker, int slot, NodePtr node, uint32_t flags);
  void SetMapping(const Op& op, NodePtr node);
  Applied ApplyOpen(const Op& op, const Reply& plain);
  Applied ApplyNew(const Op& op, const Reply& plain);

  const bool stubs_;
  NodePtr root_;
  mutable bool left_ = false;  // a walk has come above the root
  std::array<std::array<Slot, kSlots>, kWorkers> slots_;
  std::array<std::array<Mapping, kMaps>, kWorkers> maps_;
  std::vector<Ref> names_;
  std::unordered_map<const std::string*, size_t> ref_of_;  // keys of `entries` → index in names_
};

}  // namespace veneer::differential
