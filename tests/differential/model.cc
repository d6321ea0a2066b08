#include "tests/differential/model.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "tests/differential/tree_copy.h"

namespace veneer::differential {

namespace {

Result<NodePtr> LoadNode(const std::string& path, Node* parent, std::map<ino_t, NodePtr>& seen) {
  struct stat st = {};
  if (lstat(path.c_str(), &st) != 0) return Errno(path);
  NodePtr& known = seen[st.st_ino];
  if (known) {
    ++known->links;
    return known;
  }
  NodePtr node = known = std::make_shared<Node>();
  node->mode = st.st_mode;
  node->uid = st.st_uid;
  node->gid = st.st_gid;
  node->size = st.st_size;
  node->ino = st.st_ino;
  node->lower = true;
  std::string list(4096, '\0');
  ssize_t size = llistxattr(path.c_str(), list.data(), list.size());
  for (ssize_t at = 0; at < size;) {
    std::string name = list.c_str() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    node->xattrs.insert(std::move(name));
  }
  node->links = 1;
  if (node->IsLink()) {
    node->target.resize(4096);
    ssize_t n = readlink(path.c_str(), node->target.data(), node->target.size());
    if (n < 0) return Errno(path);
    node->target.resize(static_cast<size_t>(n));
  }
  if (!node->IsDir()) return node;
  node->parent = parent;
  node->name = path.substr(path.rfind('/') + 1);
  TRY_ASSIGN(auto names, NamesIn(path));
  for (const std::string& name : names) {
    std::string below = path;
    TRY_ASSIGN(node->entries[name], LoadNode(below.append("/").append(name), node.get(), seen));
  }
  return node;
}

void Describe(Node& node, const FileStat& st) {
  if (!st.known || (st.mode & S_IFMT) != (node.mode & S_IFMT)) return;
  node.mode = st.mode;
  node.uid = st.uid;
  node.gid = st.gid;
  node.size = st.size;
  node.ino = st.ino;
}

}  // namespace

Result<> Model::Load(const std::string& dir) {
  std::map<ino_t, NodePtr> seen;
  TRY_ASSIGN(root_, LoadNode(dir, nullptr, seen));
  AddRefsBelow(root_.get());
  return {};
}

NodePtr Model::Walk(NodePtr from, const std::string& path, bool follow, Place* last,
                    int depth) const {
  constexpr int kMaxDepth = 40;
  NodePtr here = path.starts_with('/') ? nullptr : std::move(from);
  for (size_t at = 0; here;) {
    size_t end = std::min(path.find('/', at), path.size());
    std::string name = path.substr(at, end - at);
    bool is_last = path.find_first_not_of('/', end) == path.npos;
    if (!here->IsDir() || depth > kMaxDepth) return nullptr;
    NodePtr next;
    if (name.empty() || name == ".") {
      next = here;
    } else if (name == "..") {
      if (here == root_) left_ = true;
      const Node* up = here->parent == nullptr ? root_.get() : here->parent;
      if (here->parent == nullptr && here != root_) return nullptr;
      // The parent's own entry holds it; the root holds itself.
      next = up == root_.get()       ? root_
             : up->parent == nullptr ? nullptr
                                     : up->parent->entries.at(up->name);
    } else {
      auto it = here->entries.find(name);
      if (it != here->entries.end()) next = it->second;
    }
    if (is_last && last != nullptr) *last = {here, name, next};
    if (next && next->IsLink() && (!is_last || follow)) {
      next = Walk(here, next->target, true, is_last ? last : nullptr, depth + 1);
    }
    if (is_last) {
      if (last != nullptr && last->dir) last->node = next;
      return next;
    }
    here = next;
    at = end + 1;
  }
  if (last != nullptr) *last = {};
  return nullptr;
}

Place Model::Resolve(const Op& op, const std::string& path, bool follow) const {
  Place place;
  NodePtr base = op.at < 0 ? root_ : slot(op.worker, op.at).node;
  if (base && base->IsDir() && !path.empty()) Walk(base, path, follow, &place, 0);
  return place;
}

bool Model::LeavesTree(const Op& op) const {
  if (op.kind >= OpKind::kClose) return false;
  left_ = false;
  Resolve(op, op.path, true);
  if (op.kind == OpKind::kRename || op.kind == OpKind::kLink) Resolve(op, op.path2, true);
  return left_;
}

Place Model::TargetOf(const Op& op) const {
  switch (op.kind) {
    case OpKind::kMread:
    case OpKind::kMwrite:
    case OpKind::kMsync:
    case OpKind::kMunmap:
      return {nullptr, "", op.slot2 < 0 ? nullptr : mapping(op.worker, op.slot2).node};
    case OpKind::kCopyRange:
      return {nullptr, "", op.slot2 < 0 ? nullptr : slot(op.worker, op.slot2).node};
    case OpKind::kLinkTmp:
      return {nullptr, "", op.slot < 0 ? nullptr : slot(op.worker, op.slot).node};
    default:
      break;
  }
  if (op.kind >= OpKind::kCheck) return {};
  if (op.kind >= OpKind::kClose) {
    return {nullptr, "", op.slot < 0 ? nullptr : slot(op.worker, op.slot).node};
  }
  bool follow = false;
  switch (op.kind) {
    case OpKind::kOpen:
      follow =
          (op.flags & O_NOFOLLOW) == 0 && (op.flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
      break;
    case OpKind::kAccess:
    case OpKind::kTmpFile:
    case OpKind::kChmod:
    case OpKind::kTruncate:
    case OpKind::kReadFile:
      follow = true;
      break;
    case OpKind::kStat:
    case OpKind::kChown:
    case OpKind::kUtimens:
    case OpKind::kSetXattr:
    case OpKind::kGetXattr:
    case OpKind::kListXattr:
    case OpKind::kRemoveXattr:
      follow = (op.flags & AT_SYMLINK_NOFOLLOW) == 0;
      break;
    case OpKind::kLink:
      follow = (op.flags & AT_SYMLINK_FOLLOW) != 0;
      break;
    default:
      break;
  }
  return Resolve(op, op.path, follow);
}

void Model::Touched(Node& node, bool data) {
  if (on_touched) on_touched(node);
  node.meta = true;
  if (data || !stubs_ || !node.IsReg()) node.data = true;
}

void Model::DirTouched(Node* dir) {
  for (; dir != nullptr && !dir->meta; dir = dir->parent) dir->meta = dir->data = true;
}

void Model::AddName(const NodePtr& dir, const std::string& name, const NodePtr& node) {
  auto it = dir->entries.insert_or_assign(name, node).first;
  AddRef(dir.get(), it->first, node.get());
  ++node->links;
  if (node->IsDir()) {
    node->parent = dir.get();
    node->name = name;
  }
  DirTouched(dir.get());
  if (on_name) on_name(dir.get(), name, true);
}

void Model::RemoveName(const NodePtr& dir, const std::string& name) {
  auto it = dir->entries.find(name);
  if (it == dir->entries.end()) return;
  NodePtr node = it->second;
  RemoveRef(it->first);
  dir->entries.erase(it);
  --node->links;
  if (node->IsDir()) node->parent = nullptr;
  if (node->links > 0) Touched(*node, false);
  DirTouched(dir.get());
  if (on_name) on_name(dir.get(), name, false);
}

void Model::Rename(const Op& op) {
  Place from = Resolve(op, op.path, false);
  Place to = Resolve(op, op.path2, false);
  if (!from.node || !to.dir || from.node == to.node) return;
  auto moved = [&](const NodePtr& node) {
    Touched(*node, false);
    if (node->IsDir()) node->moved = true;
  };
  if ((op.flags & RENAME_EXCHANGE) != 0 && to.node) {
    auto put = [&](const Place& place, const NodePtr& node) {
      auto it = place.dir->entries.find(place.name);
      it->second = node;
      names_[ref_of_.at(&it->first)].node = node.get();
      if (!node->IsDir()) return;
      node->parent = place.dir.get();
      node->name = place.name;
    };
    put(from, to.node);
    put(to, from.node);
    moved(to.node);
    DirTouched(from.dir.get());
    DirTouched(to.dir.get());
    // The names stay, but may be found as the old one, the new one, or both.
    for (const Place* place : {&from, &to}) {
      if (!on_name) continue;
      on_name(place->dir.get(), place->name, false);
      on_name(place->dir.get(), place->name, true);
    }
  } else {
    NodePtr node = from.node;
    if (to.node) RemoveName(to.dir, to.name);
    RemoveName(from.dir, from.name);
    AddName(to.dir, to.name, node);
  }
  moved(from.node);
}

void Model::SetSlot(int worker, int slot, NodePtr node, uint32_t flags) {
  Slot& entry = slots_[Index(worker)][Index(slot)];
  if (entry.node) --(entry.writable() ? entry.node->writers : entry.node->readers);
  entry = {std::move(node), flags};
  if (entry.node) ++(entry.writable() ? entry.node->writers : entry.node->readers);
}

void Model::SetMapping(const Op& op, NodePtr node) {
  Mapping& entry = maps_[Index(op.worker)][Index(op.slot2)];
  if (entry.node) --entry.node->maps;
  entry = {std::move(node), op.off, op.len, op.flags};
  if (entry.node) ++entry.node->maps;
}

Model::Applied Model::ApplyOpen(const Op& op, const Reply& plain) {
  Applied applied;
  if (op.kind == OpKind::kTmpFile) {
    applied.node = std::make_shared<Node>();
    applied.node->mode = S_IFREG;
    applied.node->data = applied.created = true;
  } else {
    Place place = TargetOf(op);
    applied.node = place.node;
    if (!applied.node && place.dir) {
      applied.node = std::make_shared<Node>();
      applied.node->mode = S_IFREG;
      applied.node->data = applied.created = true;
      AddName(place.dir, place.name, applied.node);
    }
    if (!applied.node) return applied;
    bool writes = (op.flags & (O_WRONLY | O_RDWR | O_TRUNC)) != 0 && (op.flags & O_PATH) == 0;
    if (writes && applied.node->IsReg()) Touched(*applied.node, true);
  }
  Describe(*applied.node, plain.st);
  SetSlot(op.worker, op.slot, applied.node, op.flags);
  return applied;
}

Model::Applied Model::ApplyNew(const Op& op, const Reply& plain) {
  Place place = Resolve(op, op.path, false);
  auto node = std::make_shared<Node>();
  node->mode = plain.st.mode;
  if (op.kind == OpKind::kMkdir) node->mode = S_IFDIR;
  if (op.kind == OpKind::kSymlink) node->mode = S_IFLNK;
  if (op.kind == OpKind::kMknod) node->mode = (op.mode & S_IFMT) == 0 ? S_IFREG : op.mode;
  node->data = true;
  node->target = op.path2;
  Describe(*node, plain.st);
  if (place.dir && !place.node) AddName(place.dir, place.name, node);
  return {node, true};
}

Model::Applied Model::Apply(const Op& op, const Reply& plain) {
  if (op.kind == OpKind::kRemount) {
    for (int worker = 0; worker < kWorkers; ++worker) {
      for (int slot = 0; slot < kSlots; ++slot) SetSlot(worker, slot, nullptr, 0);
      for (int map = 0; map < kMaps; ++map) {
        Op none;
        none.worker = worker;
        none.slot2 = map;
        SetMapping(none, nullptr);
      }
    }
    return {};
  }
  if (plain.error != 0) return {};
  Applied applied;
  Place target = TargetOf(op);
  applied.node = target.node;
  switch (op.kind) {
    case OpKind::kOpen:
    case OpKind::kTmpFile:
      return ApplyOpen(op, plain);
    case OpKind::kMkdir:
    case OpKind::kSymlink:
    case OpKind::kMknod:
      return ApplyNew(op, plain);
    case OpKind::kLinkTmp:
    case OpKind::kLink: {
      Place to = Resolve(op, op.kind == OpKind::kLink ? op.path2 : op.path, false);
      if (target.node && to.dir) {
        Touched(*target.node, false);
        AddName(to.dir, to.name, target.node);
      }
      break;
    }
    case OpKind::kUnlink:
    case OpKind::kRmdir:
      if (target.dir) RemoveName(target.dir, target.name);
      return {};
    case OpKind::kRename:
      Rename(op);
      applied.node = Resolve(op, op.path2, false).node;
      break;
    case OpKind::kChmod:
    case OpKind::kFchmod:
    case OpKind::kChown:
    case OpKind::kFchown:
    case OpKind::kUtimens:
    case OpKind::kFutimens:
      if (target.node) Touched(*target.node, false);
      break;
    case OpKind::kSetXattr:
    case OpKind::kFsetXattr:
      if (!target.node) break;
      Touched(*target.node, false);
      target.node->xattrs.insert(op.name);
      break;
    case OpKind::kRemoveXattr:
      if (!target.node) break;
      Touched(*target.node, false);
      target.node->xattrs.erase(op.name);
      break;
    case OpKind::kTruncate:
      if (target.node) Touched(*target.node, true);
      break;
    case OpKind::kClose:
      SetSlot(op.worker, op.slot, nullptr, 0);
      return {};
    case OpKind::kMmap:
      SetMapping(op, target.node);
      break;
    case OpKind::kMunmap:
      SetMapping(op, nullptr);
      break;
    default:
      break;
  }
  if (applied.node) Describe(*applied.node, plain.st);
  return applied;
}

std::string Model::PathOf(const Node* dir, const std::string& name) const {
  std::string path = name;
  for (; dir != nullptr && dir->parent != nullptr; dir = dir->parent) {
    path = dir->name + "/" + path;
  }
  return path;
}

bool Model::UnderMoved(const Node* node) const {
  for (const Node* dir = node; dir != nullptr; dir = dir->parent) {
    if (dir->moved && dir->lower) return true;
  }
  return false;
}

void Model::AddRef(const Node* dir, const std::string& name, const Node* node) {
  ref_of_[&name] = names_.size();
  names_.push_back({dir, &name, node});
}

void Model::RemoveRef(const std::string& name) {
  auto it = ref_of_.find(&name);
  size_t at = it->second;
  ref_of_.erase(it);
  if (at + 1 != names_.size()) {
    names_[at] = names_.back();
    ref_of_[names_[at].name] = at;
  }
  names_.pop_back();
}

void Model::AddRefsBelow(const Node* dir) {
  for (const auto& [name, node] : dir->entries) {
    AddRef(dir, name, node.get());
    if (node->IsDir()) AddRefsBelow(node.get());
  }
}

std::vector<std::string> Model::Listing() const {
  std::vector<std::string> listing;
  auto collect = [&](auto& self, const Node* dir, const std::string& prefix) -> void {
    for (const auto& [name, node] : dir->entries) {
      listing.push_back(prefix + name);
      if (node->IsDir()) self(self, node.get(), prefix + name + "/");
    }
  };
  collect(collect, root_.get(), "");
  std::sort(listing.begin(), listing.end());
  return listing;
}

}  // namespace veneer::differential
