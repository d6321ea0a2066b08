#include "store/tree/layer_tree_builder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <optional>

#include "store/base/beneath.h"
#include "store/tree/format.h"
#include "store/tree/layer_writer.h"
#include "store/tree/name_table.h"
#include "store/tree/path_walk.h"
#include "store/tree/spool.h"

namespace veneer::tree {

namespace {

using Kind = NameTable::Kind;

class Builder : public LayerTreeBuilder {
 public:
  explicit Builder(UniqueFd dir) : dir_(std::move(dir)), inodes_(dir_.get()) {}

  Result<> Add(std::string_view path, const Attributes& attr, const ObjectId& object,
               std::string_view link_target, const std::vector<Xattr>& xattrs) override;
  Result<> AddHardLink(std::string_view path, std::string_view target) override;
  Result<> AddWhiteout(std::string_view path) override;
  Result<> SetOpaque(std::string_view directory) override;
  Result<> Finish(int fd) override { return WriteLayerTree(names_, inodes_, dir_.get(), fd); }

 private:
  struct Place {
    NodeId parent;
    std::string_view name;  // empty: the root itself
  };

  static Result<> CheckPath(std::string_view path);
  // The directory at `path`; whatever is missing on the way, or is neither a directory nor a
  // symlink, becomes a placeholder.
  Result<NodeId> MakeDirs(std::string_view path);
  Result<Place> MakeParents(std::string_view path);
  // Where a hard link's target is in this layer: its node, or the path to look for in the layers
  // below.
  Result<NodeId> FindTarget(std::string_view path, std::string* outside);
  // The path to go on with at `*at` after `symlink`, when `rest` was to follow it.
  Result<std::string> Follow(NodeId symlink, std::string_view rest, NodeId* at);
  Result<NodeId> NodeFor(const Place& place);
  // Makes `place` name something that is not a directory.
  Result<> SetLeaf(const Place& place, Kind kind, uint32_t inode);

  UniqueFd dir_;
  NameTable names_;
  InodeSpool inodes_;
  // The parent of the last entry: archives mostly stay in one directory for a while.
  std::string last_path_;
  NodeId last_dir_ = kNoNode;
};

Result<> Builder::CheckPath(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) return Fail(EINVAL, "NUL in a path");
  while (true) {
    std::string_view name = NextComponent(path);
    if (name.empty()) return {};
    if (name == "..") return Fail(EINVAL, "\"..\" in a path");
    if (name.size() > kNameMax) return Fail(ENAMETOOLONG, "name in a path");
  }
}

Result<std::string> Builder::Follow(NodeId symlink, std::string_view rest, NodeId* at) {
  TRY_ASSIGN(FullInode inode, inodes_.Read(names_.inode(symlink)));
  if (inode.target.starts_with('/')) *at = kRootNode;
  std::string path(inode.target);
  path += '/';
  path += rest;
  return path;
}

Result<NodeId> Builder::NodeFor(const Place& place) {
  NodeId id = names_.Find(place.parent, place.name);
  if (id != kNoNode) return id;
  if (names_.full()) return Fail(EOVERFLOW, "layer has too many names");
  return names_.Insert(place.parent, place.name);
}

Result<NodeId> Builder::MakeDirs(std::string_view path) {
  NodeId at = kRootNode;
  std::string pending;  // takes over from `path` once a symlink was followed
  int symlinks = 0;
  while (true) {
    std::string_view name = NextComponent(path);
    if (name.empty()) return at;
    if (name == "..") {  // only from a symlink's target
      if (at != kRootNode) at = names_.parent(at);
      continue;
    }
    if (name.size() > kNameMax) return Fail(ENAMETOOLONG, "name in a symlink");
    TRY_ASSIGN(NodeId id, NodeFor({.parent = at, .name = name}));
    if (names_.kind(id) == Kind::kSymlink) {
      if (++symlinks > kMaxSymlinks) return Fail(ELOOP, "resolve path");
      TRY_ASSIGN(pending, Follow(id, path, &at));
      path = pending;
      continue;
    }
    if (names_.kind(id) != Kind::kDir) names_.Set(id, Kind::kDir, kNoInode);
    at = id;
  }
}

Result<Builder::Place> Builder::MakeParents(std::string_view path) {
  TRY(CheckPath(path));
  while (!path.empty() && (path.back() == '/' || path == "." || path.ends_with("/."))) {
    path.remove_suffix(1);
  }
  size_t slash = path.rfind('/');
  std::string_view parent =
      slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
  std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (last_dir_ == kNoNode || parent != last_path_) {
    TRY_ASSIGN(last_dir_, MakeDirs(parent));
    last_path_ = parent;
  }
  return Place{.parent = last_dir_, .name = name};
}

Result<> Builder::Add(std::string_view path, const Attributes& attr, const ObjectId& object,
                      std::string_view link_target, const std::vector<Xattr>& xattrs) {
  InodeRecord record;
  record.SetAttributes(attr);
  uint8_t type = TypeOfMode(attr.mode);
  switch (type) {
    case DT_REG:
      if (attr.size > 0) {
        std::copy(object.digest.bytes().begin(), object.digest.bytes().end(),
                  record.payload.begin());
      }
      break;
    case DT_LNK:
      record.size = link_target.size();
      break;
    case DT_DIR:
    case DT_CHR:
    case DT_BLK:
    case DT_FIFO:
    case DT_SOCK:
      record.size = 0;
      break;
    default:
      return Fail(EINVAL, "unknown file type");
  }
  TRY_ASSIGN(Place place, MakeParents(path));
  if (place.name.empty() && type != DT_DIR) return Fail(EINVAL, "root is not a directory");
  std::string encoded = EncodeXattrs(xattrs);
  TRY_ASSIGN(uint32_t inode, inodes_.Add({.record = record,
                                          .target = type == DT_LNK ? link_target : "",
                                          .xattrs = encoded}));
  if (type != DT_DIR) return SetLeaf(place, static_cast<Kind>(type), inode);
  NodeId id = kRootNode;
  if (!place.name.empty()) {
    TRY_ASSIGN(id, NodeFor(place));
  }
  if (names_.kind(id) == Kind::kSymlink) last_dir_ = kNoNode;
  names_.Set(id, Kind::kDir, inode);
  return {};
}

Result<> Builder::SetLeaf(const Place& place, Kind kind, uint32_t inode) {
  TRY_ASSIGN(NodeId id, NodeFor(place));
  if (names_.kind(id) == Kind::kDir) {
    if (names_.full()) return Fail(EOVERFLOW, "layer has too many names");
    id = names_.Replace(id);
    last_dir_ = kNoNode;
  } else if (names_.kind(id) == Kind::kSymlink) {
    last_dir_ = kNoNode;
  }
  names_.Set(id, kind, inode);
  return {};
}

Result<NodeId> Builder::FindTarget(std::string_view path, std::string* outside) {
  NodeId at = kRootNode;
  std::string pending;
  int symlinks = 0;
  while (true) {
    std::string_view name = NextComponent(path);
    if (name.empty()) return Fail(EINVAL, "hard link to a directory");
    if (name == "..") {
      if (at != kRootNode) at = names_.parent(at);
      continue;
    }
    NodeId id = names_.Find(at, name);
    Kind kind = id == kNoNode ? Kind::kNone : names_.kind(id);
    std::string_view ahead = path;
    bool last = NextComponent(ahead).empty();
    if (last && kind != Kind::kNone && kind != Kind::kDir) return id;
    if (kind == Kind::kDir) {
      at = id;
    } else if (kind == Kind::kSymlink) {
      if (++symlinks > kMaxSymlinks) return Fail(ELOOP, "resolve hard link");
      TRY_ASSIGN(pending, Follow(id, path, &at));
      path = pending;
    } else {
      *outside = names_.PathOf(at);
      if (!outside->empty()) *outside += '/';
      outside->append(name);
      while (!(name = NextComponent(path)).empty()) {
        *outside += '/';
        outside->append(name);
      }
      return kNoNode;
    }
  }
}

Result<> Builder::AddHardLink(std::string_view path, std::string_view target) {
  TRY(CheckPath(target));
  std::string outside;
  TRY_ASSIGN(NodeId found, FindTarget(target, &outside));
  Kind kind = Kind::kExternal;
  uint32_t inode = kNoInode;
  if (found != kNoNode) {
    kind = names_.kind(found);
    inode = names_.inode(found);
  }
  TRY_ASSIGN(Place place, MakeParents(path));
  if (place.name.empty()) return Fail(EINVAL, "root is not a directory");
  if (found != kNoNode && names_.Find(place.parent, place.name) == found) return {};
  if (found == kNoNode) {
    InodeRecord record;
    record.flags = kExternalLink;
    TRY_ASSIGN(inode, inodes_.Add({.record = record, .target = outside, .xattrs = {}}));
  }
  return SetLeaf(place, kind, inode);
}

Result<> Builder::AddWhiteout(std::string_view path) {
  TRY_ASSIGN(Place place, MakeParents(path));
  if (place.name.empty()) return Fail(EINVAL, "whiteout of the root");
  TRY_ASSIGN(NodeId id, NodeFor(place));
  names_.SetFlag(id, NameTable::kWhiteout);
  return {};
}

Result<> Builder::SetOpaque(std::string_view directory) {
  TRY(CheckPath(directory));
  TRY_ASSIGN(NodeId id, MakeDirs(directory));
  names_.SetFlag(id, NameTable::kOpaqueDir);
  return {};
}

}  // namespace

Result<std::unique_ptr<LayerTreeBuilder>> LayerTreeBuilder::Create(int dirfd) {
  TRY_ASSIGN(UniqueFd dir, OpenAt(dirfd, ".", O_PATH | O_DIRECTORY));
  return std::unique_ptr<LayerTreeBuilder>(new Builder(std::move(dir)));
}

}  // namespace veneer::tree
