#include "fs/dir_stack_lower.h"

#include <fcntl.h>

#include <algorithm>

#include "fs/read_only_clone.h"
#include "fs/stack_markers.h"
#include "fs/stack_node.h"
#include "fs/xattr_io.h"
#include "store/base/beneath.h"
#include "store/markers.h"

namespace veneer::fs {

namespace {

std::string Join(const std::string& dir, std::string_view name) {
  return dir.empty() ? std::string(name) : dir + "/" + std::string(name);
}

// The path that redirect `value` means for an entry of `dir`, from the layer's root.
std::string RedirectPath(const std::string& dir, const std::string& value) {
  return value.starts_with('/') ? value.substr(value.find_first_not_of('/') == value.npos
                                                   ? value.size()
                                                   : value.find_first_not_of('/'))
                                : Join(dir, value);
}

bool IsMissing(int code) { return code == ENOENT || code == ENOTDIR || code == ELOOP; }

}  // namespace

DirStackLower::~DirStackLower() { root_ = {}; }

Result<std::unique_ptr<DirStackLower>> DirStackLower::Open(const std::vector<std::string>& layers,
                                                           FdCache* cache, size_t indexed_names) {
  std::unique_ptr<DirStackLower> lower(new DirStackLower(cache, indexed_names));
  auto root = std::make_shared<StackNode>();
  root->cache = cache;
  struct stat top = {};
  bool covered = false;  // by an opaque root above
  for (const std::string& path : layers) {
    auto fd = OpenReadOnlyClone(path.empty() ? "." : path, O_RDONLY);
    if (!fd) return std::unexpected(fd.error().Within("lower directory " + path));
    struct stat st = {};
    if (fstat(fd->get(), &st) != 0) return Errno("lower directory " + path);
    Layer layer;
    layer.root = std::move(*fd);
    layer.dev = st.st_dev;
    layer.uuid = FilesystemUuid(layer.root.get());
    uint64_t devices = 2;
    for (const Layer& other : lower->layers_) {
      if (other.dev == st.st_dev) {
        layer.ino_base = other.ino_base;
        break;
      }
      devices = std::max(devices, (other.ino_base >> 48) + 1);
    }
    if (layer.ino_base == 0) layer.ino_base = devices << 48;
    if (lower->layers_.empty()) top = st;
    layer.stat_override = StatOverride(StatOverride::FormOf(layer.root.get()));
    StackMarkers marks(FileAt(layer.root.get()));
    bool opaque = marks.IsOpaque(layer.root.get(), "");
    lower->layers_.push_back(std::move(layer));
    if (!covered) root->parts.push_back({lower->layers_.size() - 1, "", cache->NewKey()});
    covered = covered || opaque;
  }
  root->indexes = &lower->indexes_;
  lower->root_ = {
      .ino = lower->InoOf(lower->layers_.front(), top), .type = S_IFDIR, .node = std::move(root)};
  lower->tells_origins_ = lower->TellsOrigins();
  return lower;
}

// A handle means something with its filesystem's UUID only.
bool DirStackLower::TellsOrigins() const {
  for (const Layer& layer : layers_) {
    if (!layer.uuid) return false;
    for (const Layer& other : layers_) {
      if (other.dev != layer.dev && other.uuid == layer.uuid) return false;
    }
  }
  return true;
}

const DirStackLower::Layer& DirStackLower::LayerOf(const LowerRef& ref) const {
  const StackNode::Part& part =
      ref.IsDir() ? ref.node->parts.front() : ref.node->dir->parts[ref.node->dir_part];
  return layers_[part.layer];
}

uint64_t DirStackLower::InoOf(const Layer& layer, const struct stat& st) const {
  // Below a mount point inside a layer, or past 48 bits, numbers may clash: mix the device in.
  uint64_t ino = st.st_ino;
  if (st.st_dev != layer.dev) ino ^= static_cast<uint64_t>(st.st_dev) * 0x9e3779b97f4a7c15u;
  constexpr uint64_t kMask = (uint64_t{1} << 48) - 1;
  return layer.ino_base | ((ino ^ (ino >> 48)) & kMask);
}

Result<SharedFd> DirStackLower::DirFd(const StackNode& node, size_t part) {
  const StackNode::Part& p = node.parts[part];
  if (SharedFd fd = cache_->Get(p.key)) return fd;
  int root = layers_[p.layer].root.get();
  constexpr int kFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
  auto fd = p.path.empty() ? OpenAt(root, ".", kFlags) : OpenBeneath(root, p.path, kFlags, false);
  if (!fd && (fd.error().code() == EMFILE || fd.error().code() == ENFILE)) {
    cache_->Clear();
    fd = OpenBeneath(root, p.path.empty() ? "." : p.path, kFlags, false);
  }
  if (!fd) return std::unexpected(std::move(fd).error());
  return cache_->Put(p.key, std::move(*fd));
}

// The directory of the layer that the entry at `path` is in; null where there is none.
Result<SharedFd> DirStackLower::ParentInLayer(size_t layer, const std::string& path) {
  size_t slash = path.rfind('/');
  std::string parent = slash == path.npos ? "." : path.substr(0, slash);
  auto fd = OpenBeneath(layers_[layer].root.get(), parent, O_PATH | O_DIRECTORY, false);
  if (fd) return std::make_shared<const UniqueFd>(std::move(*fd));
  if (IsMissing(fd.error().code())) return nullptr;
  return std::unexpected(std::move(fd).error());
}

Result<DirStackLower::At> DirStackLower::Locate(const LowerRef& ref) {
  if (ref.IsDir()) {
    TRY_ASSIGN(SharedFd fd, DirFd(*ref.node, 0));
    return At{std::move(fd), "", &layers_[ref.node->parts[0].layer]};
  }
  const StackNode& dir = *ref.node->dir;
  TRY_ASSIGN(SharedFd fd, DirFd(dir, ref.node->dir_part));
  return At{std::move(fd), ref.node->name, &layers_[dir.parts[ref.node->dir_part].layer]};
}

Result<LowerRef> DirStackLower::Root() { return root_; }

Result<LowerRef> DirStackLower::Lookup(const LowerRef& dir, std::string_view name) {
  std::optional<struct stat> attr;
  return LookupWithAttr(dir, name, attr);
}

Result<LowerRef> DirStackLower::LookupWithAttr(const LowerRef& dir, std::string_view name,
                                               std::optional<struct stat>& attr) {
  if (name.starts_with(markers::kAufsPrefix)) return LowerRef{};
  uint32_t probes = 0;
  auto index = IndexOf(*dir.node);
  auto found = Search(dir, name, index.get(), attr, probes);
  if (probes > 0) dir.node->probes.fetch_add(probes, std::memory_order_relaxed);
  return found;
}

Result<LowerRef> DirStackLower::Search(const LowerRef& dir, std::string_view name,
                                       const NameIndex* index, std::optional<struct stat>& attr,
                                       uint32_t& probes) {
  const StackNode& node = *dir.node;
  std::optional<NameIndex::Place> place;
  if (index != nullptr) {
    place = index->Find(name);
    if (!place) return LowerRef{};
  }
  LowerRef found;
  std::shared_ptr<StackNode> merged;  // what `found` is, if that is a directory
  std::string own_name(name);         // or the sibling's that a layer redirects to
  std::string redirect;               // the path below, once a layer has said so
  size_t layer = 0;
  size_t next = place ? place->part : 0;
  while (next < node.parts.size() || !redirect.empty()) {
    // Where to look next: the same name in the directory's next part, or the redirect in the next
    // layer.
    SharedFd fd;
    std::string leaf;
    std::string path;
    size_t part = next;
    bool more = false;  // there is something to look at below
    if (redirect.empty()) {
      layer = node.parts[part].layer;
      TRY_ASSIGN(fd, DirFd(node, part));
      leaf = own_name;
      path = Join(node.parts[part].path, own_name);
      if (index != nullptr) place = index->Below(*place);
      next = index == nullptr ? part + 1 : place ? place->part : node.parts.size();
      more = next < node.parts.size();
    } else {
      if (++layer >= layers_.size()) break;
      TRY_ASSIGN(fd, ParentInLayer(layer, redirect));
      if (!fd) continue;
      leaf = redirect.substr(redirect.rfind('/') + 1);
      path = redirect;
      more = layer + 1 < layers_.size();
    }
    struct stat st = {};
    if (fstatat(fd->get(), leaf.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT) return Errno("lookup");
      ++probes;
      if (!more) continue;
      ++probes;
      if (HidesBelow(fd->get(), leaf)) break;
      continue;
    }
    if (IsStackWhiteout(fd->get(), leaf, st)) break;
    if (!S_ISDIR(st.st_mode) && found) break;  // hidden by the directory above
    if (!found) {
      layers_[layer].stat_override.Apply(FileAt(fd->get(), leaf), st);
      auto made = std::make_shared<StackNode>();
      made->cache = cache_;
      found = {.ino = InoOf(layers_[layer], st), .type = st.st_mode & S_IFMT, .node = made};
      attr = st;
      attr->st_ino = found.ino;
      if (!found.IsDir()) {
        made->dir = dir.node;
        made->dir_part = part;
        made->name = name;
        return found;
      }
      made->path = Join(node.path, name);
      made->indexes = &indexes_;
      merged = std::move(made);
    }
    merged->parts.push_back({layer, path, cache_->NewKey()});
    if (layer + 1 == layers_.size()) break;
    StackMarkers marks(FileAt(fd->get(), leaf));
    auto target = marks.Redirect();
    if (!more && !target) break;
    if (marks.IsOpaque(fd->get(), leaf)) break;
    // Without a redirect, the index would have nothing below.
    if ((target || index == nullptr) && HidesBelow(fd->get(), leaf)) break;
    if (!target) continue;
    if (redirect.empty() && !target->starts_with('/')) {
      own_name = *target;
      index = nullptr;
      next = part + 1;
      continue;
    }
    size_t slash = path.rfind('/');
    redirect = RedirectPath(slash == path.npos ? "" : path.substr(0, slash), *target);
  }
  if (merged && merged->parts.size() > 1) attr->st_nlink = 1;
  return found;
}

Result<struct stat> DirStackLower::Attr(const LowerRef& ref) {
  TRY_ASSIGN(At at, Locate(ref));
  struct stat st = {};
  if (fstatat(at.dir->get(), at.name.c_str(), &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0) {
    return Errno("stat");
  }
  at.layer->stat_override.Apply(at.File(), st);
  st.st_ino = ref.ino;
  if (ref.IsDir() && ref.node->parts.size() > 1) st.st_nlink = 1;
  return st;
}

Result<std::optional<timespec>> DirStackLower::BirthTime(const LowerRef& ref) {
  TRY_ASSIGN(At at, Locate(ref));
  return BirthTimeAt(at.dir->get(), at.name);
}

Result<std::string> DirStackLower::LinkTarget(const LowerRef& ref) {
  TRY_ASSIGN(At at, Locate(ref));
  std::string target(PATH_MAX, '\0');
  ssize_t n = readlinkat(at.dir->get(), at.name.c_str(), target.data(), target.size());
  if (n < 0 && errno == EINVAL && at.layer->stat_override.active()) {
    // A plain file that shows as a symlink holds the target.
    TRY_ASSIGN(target, ReadFileAt(at.dir->get(), at.name, PATH_MAX - 1));
    return target;
  }
  if (n < 0) return Errno("readlink");
  target.resize(static_cast<size_t>(n));
  return target;
}

Result<std::vector<std::string>> DirStackLower::XattrNames(const LowerRef& ref) {
  TRY_ASSIGN(At at, Locate(ref));
  TRY_ASSIGN(auto stored, ListXattr(at.File()));
  std::vector<std::string> names;
  for (const std::string& name : stored) {
    auto user = markers::UserXattrName(name);
    if (user) user = at.layer->stat_override.ShownName(*user);
    if (user) names.push_back(std::move(*user));
  }
  return names;
}

Result<std::string> DirStackLower::Xattr(const LowerRef& ref, const std::string& name) {
  TRY_ASSIGN(At at, Locate(ref));
  return GetXattr(at.File(), markers::StoredXattrName(at.layer->stat_override.StoredName(name)));
}

Result<UniqueFd> DirStackLower::Open(const LowerRef& ref) {
  TRY_ASSIGN(At at, Locate(ref));
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
  auto fd = OpenAt(at.dir->get(), at.name, kFlags | O_NOATIME);
  if (!fd && fd.error().code() == EPERM) fd = OpenAt(at.dir->get(), at.name, kFlags);
  if (!fd) return fd;
  struct stat st = {};
  if (fstat(fd->get(), &st) != 0) return Errno("stat");
  if (!S_ISREG(st.st_mode)) return Fail(EIO, "lower file changed its type");
  // A metadata-only file may have data: what is on its way, if this is the upper of another mount.
  if (st.st_size > 0) {
    StackMarkers marks(FileAt(fd->get()));
    if (marks.Find(markers::kMetacopy)) {
      return OpenMetacopyData(ref, marks.Redirect().value_or(""));
    }
  }
  return fd;
}

// The data is further down: under the same name, or that of a relative redirect, in what the
// directory merges with below; or at the path of an absolute one, in the layers below.
Result<UniqueFd> DirStackLower::OpenMetacopyData(const LowerRef& ref, const std::string& redirect) {
  bool absolute = redirect.starts_with('/');
  const StackNode& dir = absolute ? *root_.node : *ref.node->dir;
  size_t layer = ref.node->dir->parts[ref.node->dir_part].layer;
  auto below = std::make_shared<StackNode>();
  below->cache = cache_;
  for (const StackNode::Part& part : dir.parts) {
    if (part.layer > layer) below->parts.push_back({part.layer, part.path, cache_->NewKey()});
  }
  LowerRef file{.ino = root_.ino, .type = S_IFDIR, .node = std::move(below)};
  if (absolute) {
    TRY_ASSIGN(file, LookupPathFrom(std::move(file), redirect));
  } else {
    TRY_ASSIGN(file, Lookup(file, redirect.empty() ? ref.node->name : redirect));
  }
  if (!S_ISREG(file.type)) return Fail(EIO, "data of a metadata-only lower file");
  return Open(file);
}

Result<std::optional<DataMark>> DirStackLower::MarkOf(const LowerRef& ref) {
  TRY_ASSIGN(struct stat st, Attr(ref));
  if (!S_ISREG(st.st_mode) || st.st_size == 0) return std::nullopt;
  return DataMark{.metacopy = "", .redirect = "/" + Join(ref.node->dir->path, ref.node->name)};
}

Result<LowerRef> DirStackLower::FromMark(const DataMark& mark, const LowerRef& dir,
                                         std::string_view name) {
  LowerRef file;
  if (mark.redirect && mark.redirect->starts_with('/')) {
    TRY_ASSIGN(file, LookupPath(*mark.redirect));
  } else if (dir) {
    TRY_ASSIGN(file, Lookup(dir, mark.redirect ? std::string_view(*mark.redirect) : name));
  }
  if (!S_ISREG(file.type)) return Fail(EIO, "data of a stub");
  return file;
}

std::optional<std::string> DirStackLower::Origin(const LowerRef& ref) {
  if (!tells_origins_) return std::nullopt;
  const Layer& layer = LayerOf(ref);
  auto at = Locate(ref);
  if (!at) return std::nullopt;
  struct stat st = {};
  if (fstatat(at->dir->get(), at->name.c_str(), &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 ||
      st.st_dev != layer.dev) {  // below a mount point, on another filesystem
    return std::nullopt;
  }
  return EncodeOrigin(at->dir->get(), at->name, *layer.uuid, /*upper=*/false);
}

std::optional<OriginFile> DirStackLower::FromOrigin(std::string_view origin) {
  if (!tells_origins_) return std::nullopt;
  for (const Layer& layer : layers_) {
    if (!OriginIsOn(origin, *layer.uuid)) continue;
    auto file = OpenOrigin(layer.root.get(), origin);
    struct stat st = {};
    if (!file || fstat(file->get(), &st) != 0) return std::nullopt;
    return OriginFile{.ino = InoOf(layer, st), .nlink = st.st_nlink};
  }
  return std::nullopt;
}

Result<struct statvfs> DirStackLower::StatFs() {
  struct statvfs st = {};
  if (fstatvfs(layers_.front().root.get(), &st) != 0) return Errno("statvfs");
  return st;
}

}  // namespace veneer::fs
