#include "store/tree/layer_writer.h"

#include <dirent.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "store/tree/format.h"
#include "store/tree/tree_writer.h"

namespace veneer::tree {

namespace {

using Kind = NameTable::Kind;

// The names of a NameTable as sorted directories, and the number of each inode.
class NumberedNames {
 public:
  NumberedNames(const NameTable& names, uint32_t inode_count)
      : names_(names), inode_ino_(inode_count, 0) {
    SortByDirectory();
    Number();
  }

  const NameTable& names() const { return names_; }
  uint32_t first(NodeId dir) const { return start_[dir]; }
  uint32_t end(NodeId dir) const { return start_[dir + 1]; }
  NodeId at(uint32_t index) const { return order_[index]; }
  Ino ino_limit() const { return next_; }
  Ino ino(NodeId id) const {
    return names_.inode(id) == kNoInode ? placeholder_ino_.at(id) : inode_ino_[names_.inode(id)];
  }

 private:
  struct Placeholders {
    std::vector<std::pair<NodeId, Ino>> sorted;
    Ino at(NodeId id) const {
      return std::ranges::lower_bound(sorted, id, {}, &std::pair<NodeId, Ino>::first)->second;
    }
  };

  static bool Counts(const NameTable& names, NodeId id) {
    if (id == kRootNode || names.flags(id) & NameTable::kDead) return false;
    return names.kind(id) != Kind::kNone || names.flags(id) & NameTable::kWhiteout;
  }
  void SortByDirectory();
  void SortNames(NodeId* first, NodeId* last) const;
  void Number();
  void Assign(NodeId id);

  const NameTable& names_;
  std::vector<uint32_t> start_;  // of each directory's children in order_
  std::vector<NodeId> order_;
  std::vector<uint32_t> inode_ino_;  // 0: none yet
  Placeholders placeholder_ino_;
  uint32_t next_ = 1;
};

void NumberedNames::SortByDirectory() {
  NodeId n = static_cast<NodeId>(names_.size());
  start_.assign(n + 2, 0);
  for (NodeId id = 0; id < n; ++id) {
    if (Counts(names_, id)) ++start_[names_.parent(id) + 2];
  }
  for (size_t i = 2; i < start_.size(); ++i) start_[i] += start_[i - 1];
  order_.resize(start_.back());
  for (NodeId id = 0; id < n; ++id) {
    if (Counts(names_, id)) order_[start_[names_.parent(id) + 1]++] = id;
  }
}

void NumberedNames::SortNames(NodeId* first, NodeId* last) const {
  if (last - first < 2) return;
  // Most comparisons end within the first bytes, which are kept beside the id so that the names
  // stay untouched.
  std::vector<std::pair<uint64_t, NodeId>> keys;
  keys.reserve(last - first);
  for (NodeId* p = first; p != last; ++p) {
    uint64_t key = 0;
    std::string_view name = names_.name(*p);
    for (size_t i = 0; i < 8; ++i) {
      key = key << 8 | (i < name.size() ? static_cast<uint8_t>(name[i]) : 0);
    }
    keys.emplace_back(key, *p);
  }
  std::ranges::sort(keys, [this](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : names_.name(a.second) < names_.name(b.second);
  });
  for (const auto& key : keys) *first++ = key.second;
}

void NumberedNames::Assign(NodeId id) {
  uint32_t inode = names_.inode(id);
  if (names_.kind(id) == Kind::kNone) return;
  if (inode == kNoInode) {
    placeholder_ino_.sorted.emplace_back(id, next_++);
    return;
  }
  if (inode_ino_[inode] == 0) inode_ino_[inode] = next_++;
}

void NumberedNames::Number() {
  struct Frame {
    uint32_t next;
    uint32_t end;
  };
  std::vector<Frame> stack;
  auto enter = [&](NodeId dir) {
    Assign(dir);
    SortNames(order_.data() + first(dir), order_.data() + end(dir));
    stack.push_back({first(dir), end(dir)});
  };
  enter(kRootNode);
  while (!stack.empty()) {
    Frame& top = stack.back();
    if (top.next == top.end) {
      stack.pop_back();
      continue;
    }
    NodeId id = order_[top.next++];
    if (names_.kind(id) == Kind::kDir) {
      enter(id);
    } else {
      Assign(id);
    }
  }
  std::ranges::sort(placeholder_ino_.sorted);
}

class NodeDir : public DirCursor {
 public:
  NodeDir(const NumberedNames& tree, InodeSpool& inodes, NodeId dir)
      : tree_(tree), inodes_(inodes), dir_(dir), next_(tree.first(dir)) {}

  static Result<FullInode> InodeOf(const NumberedNames& tree, InodeSpool& inodes, NodeId id) {
    const NameTable& names = tree.names();
    FullInode inode{.record = InodeRecord::DefaultDir(kNoIno), .target = {}, .xattrs = {}};
    bool replaced = names.flags(id) & NameTable::kWhiteout;
    if (names.inode(id) != kNoInode) {
      TRY_ASSIGN(inode, inodes.Read(names.inode(id)));
    } else if (!replaced) {
      inode.record.flags = kPlaceholder;
    }
    bool opaque = replaced || names.flags(id) & NameTable::kOpaqueDir;
    if (names.kind(id) == Kind::kDir && opaque) inode.record.flags |= kOpaque;
    inode.record.ino = tree.ino(id);
    return inode;
  }

  Result<bool> Next() override {
    if (next_ == tree_.end(dir_)) return false;
    current_ = tree_.at(next_++);
    const NameTable& names = tree_.names();
    entry_.name = names.name(current_);
    entry_.ino = names.kind(current_) == Kind::kNone ? kNoIno : tree_.ino(current_);
    Kind kind = names.kind(current_);
    entry_.type = static_cast<uint8_t>(kind);
    if (kind == Kind::kNone) entry_.type = DT_WHT;
    if (kind == Kind::kExternal) entry_.type = DT_UNKNOWN;
    return true;
  }
  void Rewind() override { next_ = tree_.first(dir_); }
  Result<FullInode> Inode() override { return InodeOf(tree_, inodes_, current_); }
  Result<std::unique_ptr<DirCursor>> Enter() override {
    return std::make_unique<NodeDir>(tree_, inodes_, current_);
  }

 private:
  const NumberedNames& tree_;
  InodeSpool& inodes_;
  NodeId dir_;
  uint32_t next_;
  NodeId current_ = kNoNode;
};

}  // namespace

Result<uint32_t> InodeSpool::Add(const FullInode& inode) {
  if (offsets_.size() >= kNoInode) return Fail(EOVERFLOW, "layer has too many inodes");
  offsets_.push_back(spool_.size());
  data_.resize(kInodeSize);
  InodeRecord record = inode.record;
  record.name_size = static_cast<uint32_t>(inode.target.size());
  record.xattr_size = static_cast<uint32_t>(inode.xattrs.size());
  record.Encode(data_.data());
  data_ += inode.target;
  data_ += inode.xattrs;
  TRY(spool_.Append(data_));
  return static_cast<uint32_t>(offsets_.size() - 1);
}

Result<FullInode> InodeSpool::Read(uint32_t index) {
  uint64_t begin = offsets_[index];
  uint64_t end = index + 1 < offsets_.size() ? offsets_[index + 1] : spool_.size();
  TRY_ASSIGN(std::string_view data, reader_.Read(begin, end - begin));
  InodeRecord record = InodeRecord::Decode(&data.front());
  FullInode inode{.record = record,
                  .target = data.substr(kInodeSize, record.name_size),
                  .xattrs = data.substr(kInodeSize + record.name_size, record.xattr_size)};
  inode.record.name_size = inode.record.xattr_size = 0;
  return inode;
}

Result<> WriteLayerTree(NameTable& names, InodeSpool& inodes, int scratch_dirfd, int fd) {
  names.DropIndex();
  NumberedNames tree(names, inodes.size());
  TreeWriter writer(scratch_dirfd);
  TRY_ASSIGN(FullInode root, NodeDir::InodeOf(tree, inodes, kRootNode));
  TRY(WriteTree(root, std::make_unique<NodeDir>(tree, inodes, kRootNode), writer));
  TreeHeader header;
  header.kind = TreeKind::kLayer;
  header.ino_limit = tree.ino_limit();
  header.name_count = writer.dirent_count();
  return writer.Finish(header, fd);
}

}  // namespace veneer::tree
