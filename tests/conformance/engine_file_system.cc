#include "tests/conformance/engine_file_system.h"

#include <fcntl.h>

#include <future>
#include <utility>

#include "fs/open_overlay.h"
#include "fs/options.h"

namespace veneer::fs::conformance {
namespace {

// A reference to a node, as the kernel holds one.
class Held {
 public:
  Held(Overlay& overlay, const Entry& entry) : overlay_(&overlay), node_(entry.node) {}
  explicit Held(Overlay& overlay) : overlay_(&overlay), node_(NodeId::kRoot) {}
  ~Held() {
    if (overlay_ != nullptr && node_ != NodeId::kRoot) overlay_->Forget(node_, 1);
  }
  Held(Held&& other) noexcept
      : overlay_(std::exchange(other.overlay_, nullptr)), node_(other.node_) {}
  Held& operator=(Held&& other) noexcept {
    std::swap(overlay_, other.overlay_);
    std::swap(node_, other.node_);
    return *this;
  }
  NodeId node() const { return node_; }
  Overlay& overlay() const { return *overlay_; }

 private:
  Overlay* overlay_;
  NodeId node_;
};

// Creating changes what belongs to a thread (file system IDs, securebits): in the daemon its own,
// here none that a test uses.
template <typename Call>
auto OnAnotherThread(Call call) {
  return std::async(std::launch::async, std::move(call)).get();
}

struct Parent {
  Held dir;
  std::string name;
};

Result<Held> Walk(Overlay& overlay, const std::string& path) {
  Held at(overlay);
  for (size_t begin = 0; begin < path.size();) {
    size_t end = std::min(path.find('/', begin), path.size());
    TRY_ASSIGN(Entry entry, overlay.Lookup(at.node(), path.substr(begin, end - begin)));
    at = Held(overlay, entry);
    begin = end + 1;
  }
  return at;
}

Result<Parent> WalkToParent(Overlay& overlay, const std::string& path) {
  size_t slash = path.rfind('/');
  TRY_ASSIGN(Held dir, Walk(overlay, slash == path.npos ? "" : path.substr(0, slash)));
  return Parent{std::move(dir), slash == path.npos ? path : path.substr(slash + 1)};
}

Result<struct stat> StatOf(const Held& held) {
  TRY_ASSIGN(struct stat st, held.overlay().GetAttr(held.node()));
  st.st_dev = 0;  // the mount's, which there is none of
  return st;
}

// Of a change of owners, and of writing by one who is not root, in groups of his own.
KillSuid InGroupOf(const Caller& caller) {
  return [gid = caller.gid, root = caller.uid == 0](gid_t group) { return root || gid == group; };
}
KillSuid UnlessRoot(const Caller& caller) {
  return caller.uid == 0 ? KillSuid() : InGroupOf(caller);
}

AttrChange OwnerChange(const Caller& caller, uid_t uid, gid_t gid) {
  AttrChange change;
  if (uid != static_cast<uid_t>(-1)) change.uid = uid;
  if (gid != static_cast<gid_t>(-1)) change.gid = gid;
  change.kill_suidgid = InGroupOf(caller);
  return change;
}

class EngineFile : public File {
 public:
  EngineFile(Held held, HandleId handle, int flags, const Caller& caller)
      : held_(std::move(held)), handle_(handle), flags_(flags), caller_(caller) {}
  ~EngineFile() override { overlay().Release(handle_); }

  Result<std::string> Read(size_t size, uint64_t offset) override {
    if ((flags_ & O_ACCMODE) == O_WRONLY) return Fail(EBADF, "read");
    std::string data(size, '\0');
    TRY_ASSIGN(size_t n, overlay().Read(handle_, data.data(), size, offset));
    data.resize(n);
    return data;
  }
  Result<size_t> Write(std::string_view data, uint64_t offset) override {
    if ((flags_ & O_APPEND) != 0) {
      TRY_ASSIGN(struct stat st, Stat());
      offset = static_cast<uint64_t>(st.st_size);
    }
    return overlay().Write(handle_, data, offset, UnlessRoot(caller_));
  }
  Result<struct stat> Stat() override { return StatOf(held_); }
  Result<> Chmod(mode_t mode) override {
    AttrChange change;
    change.mode = mode;
    return Change(change);
  }
  Result<> Chown(uid_t uid, gid_t gid) override { return Change(OwnerChange(caller_, uid, gid)); }
  Result<> Truncate(uint64_t size) override {
    if ((flags_ & O_ACCMODE) == O_RDONLY) return Fail(EINVAL, "ftruncate");
    AttrChange change;
    change.size = size;
    change.kill_suidgid = UnlessRoot(caller_);
    return Change(change);
  }
  Result<> Sync(bool data_only) override { return overlay().Fsync(handle_, data_only); }
  Result<> Allocate(int mode, uint64_t offset, uint64_t length) override {
    TRY(KillPrivileges());
    return overlay().Fallocate(handle_, mode, offset, length);
  }
  Result<uint64_t> Seek(uint64_t offset, int whence) override {
    return overlay().Seek(handle_, offset, whence);
  }
  Result<size_t> CopyTo(File& to, uint64_t offset, uint64_t offset_to, size_t length) override {
    auto& target = dynamic_cast<EngineFile&>(to);
    TRY(target.KillPrivileges());
    return overlay().CopyFileRange(handle_, offset, target.handle_, offset_to, length);
  }
  Result<> Link(const std::string& path) override {
    TRY_ASSIGN(Parent parent, WalkToParent(overlay(), path));
    TRY_ASSIGN(Entry entry, overlay().Link(held_.node(), parent.dir.node(), parent.name));
    const Held forgotten(overlay(), entry);
    return {};
  }

 private:
  Overlay& overlay() const { return held_.overlay(); }
  Result<> Change(const AttrChange& change) {
    TRY(overlay().SetAttr(held_.node(), change));
    return {};
  }
  // The kernel sends an empty change before other kinds of writing.
  Result<> KillPrivileges() {
    if (caller_.uid == 0) return {};
    AttrChange change;
    change.kill_suidgid = UnlessRoot(caller_);
    return Change(change);
  }

  const Held held_;
  const HandleId handle_;
  const int flags_;
  const Caller& caller_;
};

class EngineDirectory : public Directory {
 public:
  EngineDirectory(Held held, const Caller& caller) : held_(std::move(held)), caller_(caller) {}

  Result<std::optional<DirItem>> Next() override {
    std::optional<DirItem> found;
    TRY(overlay().ReadDir(held_.node(), position_, [&](const DirItem& item, uint64_t next) {
      if (found) return false;
      found = item;
      position_ = next;
      return true;
    }));
    return found;
  }
  uint64_t Tell() override { return position_; }
  void Seek(uint64_t position) override { position_ = position; }
  void Rewind() override { position_ = 0; }
  Result<struct stat> Stat() override { return StatOf(held_); }
  Result<> Sync() override { return overlay().FsyncDir(held_.node()); }
  Result<> Create(const std::string& name) override {
    TRY_ASSIGN(auto made, OnAnotherThread([&] {
                 return overlay().Create(held_.node(), name, 0644, O_WRONLY, caller_);
               }));
    overlay().Release(made.second);
    const Held forgotten(overlay(), made.first);
    return {};
  }

 private:
  Overlay& overlay() const { return held_.overlay(); }

  const Held held_;
  const Caller& caller_;
  uint64_t position_ = 0;
};

class EngineFileSystem : public FileSystem {
 public:
  explicit EngineFileSystem(Options options) : options_(std::move(options)) {}

  Result<> Start() {
    TRY_ASSIGN(overlay_, OpenOverlay(options_));
    return {};
  }

  void Become(const Caller& caller) override { caller_ = caller; }

  Result<struct stat> Stat(const std::string& path) override {
    TRY_ASSIGN(Held held, Walk(*overlay_, path));
    return StatOf(held);
  }
  Result<FilePtr> Open(const std::string& path, int flags, mode_t mode) override {
    TRY_ASSIGN(Parent parent, WalkToParent(*overlay_, path));
    auto entry = overlay_->Lookup(parent.dir.node(), parent.name);
    if (!entry && entry.error().code() == ENOENT && (flags & O_CREAT) != 0) {
      TRY_ASSIGN(auto made, OnAnotherThread([&] {
                   return overlay_->Create(parent.dir.node(), parent.name, mode, flags, caller_);
                 }));
      return std::make_unique<EngineFile>(Held(*overlay_, made.first), made.second, flags, caller_);
    }
    if (!entry) return std::unexpected(entry.error());
    Held held(*overlay_, *entry);
    if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) return Fail(EEXIST, "open");
    if (S_ISLNK(entry->attr.st_mode)) return Fail(ELOOP, "open");
    TRY_ASSIGN(HandleId handle, overlay_->Open(held.node(), flags, UnlessRoot(caller_)));
    return std::make_unique<EngineFile>(std::move(held), handle, flags, caller_);
  }
  Result<FilePtr> TmpFile(const std::string& dir, mode_t mode) override {
    TRY_ASSIGN(Held parent, Walk(*overlay_, dir));
    TRY_ASSIGN(auto made, OnAnotherThread([&] {
                 return overlay_->TmpFile(parent.node(), mode, O_RDWR, caller_);
               }));
    return std::make_unique<EngineFile>(Held(*overlay_, made.first), made.second, O_RDWR, caller_);
  }
  Result<DirectoryPtr> OpenDir(const std::string& path) override {
    TRY_ASSIGN(Held held, Walk(*overlay_, path));
    TRY_ASSIGN(struct stat st, overlay_->GetAttr(held.node()));
    if (!S_ISDIR(st.st_mode)) return Fail(ENOTDIR, "opendir");
    return std::make_unique<EngineDirectory>(std::move(held), caller_);
  }
  Result<> MakeDir(const std::string& path, mode_t mode) override {
    return Make(path, [&](NodeId dir, const std::string& name) {
      return overlay_->MakeDir(dir, name, mode, caller_);
    });
  }
  Result<> MakeNode(const std::string& path, mode_t mode, dev_t device) override {
    return Make(path, [&](NodeId dir, const std::string& name) {
      return overlay_->MakeNode(dir, name, mode, device, caller_);
    });
  }
  Result<> MakeSymlink(const std::string& target, const std::string& path) override {
    return Make(path, [&](NodeId dir, const std::string& name) {
      return overlay_->MakeSymlink(dir, name, target, caller_);
    });
  }
  Result<> Link(const std::string& from, const std::string& to) override {
    TRY_ASSIGN(Held node, Walk(*overlay_, from));
    TRY_ASSIGN(Parent parent, WalkToParent(*overlay_, to));
    TRY_ASSIGN(Entry entry, overlay_->Link(node.node(), parent.dir.node(), parent.name));
    const Held forgotten(*overlay_, entry);
    return {};
  }
  Result<> Unlink(const std::string& path) override {
    TRY_ASSIGN(Parent parent, WalkToParent(*overlay_, path));
    return overlay_->Unlink(parent.dir.node(), parent.name);
  }
  Result<> RemoveDir(const std::string& path) override {
    TRY_ASSIGN(Parent parent, WalkToParent(*overlay_, path));
    return overlay_->RemoveDir(parent.dir.node(), parent.name);
  }
  Result<> Rename(const std::string& from, const std::string& to, unsigned flags) override {
    TRY_ASSIGN(Parent source, WalkToParent(*overlay_, from));
    TRY_ASSIGN(Parent target, WalkToParent(*overlay_, to));
    return overlay_->Rename(source.dir.node(), source.name, target.dir.node(), target.name, flags);
  }
  Result<std::string> ReadLink(const std::string& path) override {
    TRY_ASSIGN(Held held, Walk(*overlay_, path));
    return overlay_->ReadLink(held.node());
  }
  Result<> Chmod(const std::string& path, mode_t mode) override {
    AttrChange change;
    change.mode = mode;
    return Change(path, change);
  }
  Result<> Chown(const std::string& path, uid_t uid, gid_t gid) override {
    return Change(path, OwnerChange(caller_, uid, gid));
  }
  Result<> Truncate(const std::string& path, uint64_t size) override {
    AttrChange change;
    change.size = size;
    change.kill_suidgid = UnlessRoot(caller_);
    return Change(path, change);
  }
  Result<> SetTimes(const std::string& path, timespec atime, timespec mtime) override {
    AttrChange change;
    if (atime.tv_nsec != UTIME_OMIT) change.atime = atime;
    if (mtime.tv_nsec != UTIME_OMIT) change.mtime = mtime;
    return Change(path, change);
  }
  Result<std::string> GetXattr(const std::string& path, const std::string& name) override {
    TRY_ASSIGN(Held held, Walk(*overlay_, path));
    return overlay_->GetXattr(held.node(), name);
  }
  Result<std::vector<std::string>> ListXattr(const std::string& path) override {
    TRY_ASSIGN(Held held, Walk(*overlay_, path));
    return overlay_->ListXattr(held.node());
  }
  Result<> SetXattr(const std::string& path, const std::string& name, std::string_view value,
                    int flags) override {
    TRY_ASSIGN(Held held, Walk(*overlay_, path));
    return overlay_->SetXattr(held.node(), name, value, flags);
  }
  Result<> RemoveXattr(const std::string& path, const std::string& name) override {
    TRY_ASSIGN(Held held, Walk(*overlay_, path));
    return overlay_->RemoveXattr(held.node(), name);
  }
  Result<struct statvfs> StatFs() override { return overlay_->StatFs(); }

  Result<> Remount() override {
    if (overlay_->Statistics().handles != 0) return Fail(EBUSY, "files are open");
    overlay_.reset();
    return Start();
  }
  Result<control::Stats> Statistics() override { return overlay_->Statistics(); }

 private:
  template <typename Call>
  Result<> Make(const std::string& path, Call call) {
    TRY_ASSIGN(Parent parent, WalkToParent(*overlay_, path));
    TRY_ASSIGN(Entry entry, OnAnotherThread([&] { return call(parent.dir.node(), parent.name); }));
    const Held forgotten(*overlay_, entry);
    return {};
  }
  Result<> Change(const std::string& path, const AttrChange& change) {
    TRY_ASSIGN(Held held, Walk(*overlay_, path));
    TRY(overlay_->SetAttr(held.node(), change));
    return {};
  }

  const Options options_;
  std::unique_ptr<Overlay> overlay_;
  Caller caller_ = {.uid = 0, .gid = 0, .umask = 022};
};

}  // namespace

Result<std::unique_ptr<FileSystem>> MakeEngineFileSystem(const std::string& mount_options) {
  const std::string args[] = {"-o", mount_options, "unused"};
  TRY_ASSIGN(Options options, ParseOptions(args, true));
  auto file_system = std::make_unique<EngineFileSystem>(std::move(options));
  TRY(file_system->Start());
  return file_system;
}

}  // namespace veneer::fs::conformance
