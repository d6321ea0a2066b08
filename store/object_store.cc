#include "store/object_store.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "store/base/beneath.h"
#include "store/base/fault.h"
#include "store/directory.h"
#include "store/own_file.h"

namespace veneer {
namespace {

constexpr size_t kMaxBuffered =
    1 << 20;                            // contents up to this are hashed before anything is written
constexpr size_t kReadPiece = 1 << 20;  // bytes per read of a large file
constexpr size_t kBatchContents = 128;  // contents given to the worker at a time, or
constexpr size_t kBatchBytes = 1 << 20;   // so many bytes
constexpr uint64_t kWriteBack = 8 << 20;  // of a large content, written and on its way to the disk
constexpr mode_t kObjectMode = 0444;

std::string FolderOf(const ObjectId& id) { return "objects/" + id.Hex().substr(0, 2); }

}  // namespace

std::string ObjectStore::PathOf(const ObjectId& id) {
  std::string hex = id.Hex();
  return "objects/" + hex.substr(0, 2) + "/" + hex.substr(2);
}

bool ObjectStore::Has(const ObjectId& id) const {
  return faccessat(root_fd_, PathOf(id).c_str(), F_OK, 0) == 0;
}

Result<UniqueFd> ObjectStore::Open(const ObjectId& id) const {
  return OpenAt(root_fd_, PathOf(id), O_RDONLY | O_NOFOLLOW);
}

Result<uint64_t> ObjectStore::AllocatedBytes(const ObjectId& id) const {
  TRY_ASSIGN(struct stat st, StatAt(root_fd_, PathOf(id), AT_SYMLINK_NOFOLLOW));
  return static_cast<uint64_t>(st.st_blocks) * 512;
}

Result<> ObjectStore::Remove(const ObjectId& id) {
  if (unlinkat(root_fd_, PathOf(id).c_str(), 0) != 0 && errno != ENOENT)
    return Errno("remove object " + id.Hex());
  return {};
}

Result<> ObjectStore::ForEach(const std::function<Result<>(const ObjectId&)>& visit) const {
  TRY_ASSIGN(auto folders, ListDirectory(root_fd_, "objects"));
  for (const std::string& folder : folders) {
    TRY_ASSIGN(auto names, ListDirectory(root_fd_, "objects/" + folder));
    for (const std::string& name : names) {
      auto digest = Digest::ParseHex(folder + name);
      if (digest) TRY(visit(ObjectId(*digest)));
    }
  }
  return {};
}

Result<std::unique_ptr<ObjectStaging>> ObjectStaging::Create(const ObjectStore& store, int root_fd,
                                                             int dir_fd) {
  return std::unique_ptr<ObjectStaging>(new ObjectStaging(store, root_fd, dir_fd));
}

void ObjectStaging::Begin() {
  hash_ = Sha256();
  buffer_.clear();
  end_ = 0;
  spill_.Reset();
}

Result<UniqueFd> ObjectStaging::NewFile() {
  // The mode counts for later opens only: this descriptor may write.
  return OpenAt(dir_fd_, ".", O_TMPFILE | O_RDWR, kObjectMode);
}

Result<> ObjectStaging::Spill() {
  if (spill_) return {};
  TRY_ASSIGN(spill_, NewFile());
  TRY(WriteAll(spill_.get(), buffer_));
  buffer_.clear();
  return {};
}

// Before the hole is hashed: a size no file can have (EFBIG) must not cost days first.
Result<> ObjectStaging::GrowTo(uint64_t size) {
  if (size > static_cast<uint64_t>(INT64_MAX)) return Fail(EFBIG, "sparse file");
  if (ftruncate(spill_.get(), static_cast<off_t>(size)) != 0) return Errno("sparse file");
  return {};
}

Result<> ObjectStaging::Write(uint64_t offset, std::string_view data) {
  if (offset > end_) {
    TRY(Spill());
    TRY(GrowTo(offset));
    hash_.UpdateZeros(offset - end_);
  }
  if (!spill_ && buffer_.size() + data.size() > kMaxBuffered) TRY(Spill());
  hash_.Update(data);
  end_ = offset + data.size();
  if (!spill_) {
    buffer_.append(data);
    return {};
  }
  TRY(PwriteAll(spill_.get(), data, offset));
  // On its way to the disk while the rest is read, or all of it would be waited for in the end.
  if (uint64_t from = offset / kWriteBack * kWriteBack; end_ - from >= kWriteBack) {
    sync_file_range(spill_.get(), static_cast<off_t>(from), static_cast<off_t>(end_ - from),
                    SYNC_FILE_RANGE_WRITE);
  }
  return {};
}

Result<ObjectId> ObjectStaging::Finish(uint64_t size) {
  if (size > end_) {
    TRY(Spill());
    TRY(GrowTo(size));
    hash_.UpdateZeros(size - end_);
  }
  ObjectId id(hash_.Finish());
  if (size == 0) return id;
  TRY(Stage({id, std::move(buffer_), std::move(spill_)}));
  return id;
}

Result<> ObjectStaging::Stage(Content content) {
  // A descriptor is worth a batch.
  batch_bytes_ += content.file ? kBatchBytes : content.bytes.size();
  batch_.push_back(std::move(content));
  if (batch_.size() < kBatchContents && batch_bytes_ < kBatchBytes) return {};
  TRY(worker_.Give([this, batch = std::exchange(batch_, {})]() mutable -> Result<> {
    for (Content& c : batch) TRY(Keep(c));
    return {};
  }));
  batch_bytes_ = 0;
  return {};
}

Result<> ObjectStaging::Settle() {
  TRY(worker_.Finish());
  for (Content& c : batch_) TRY(Keep(c));
  batch_.clear();
  batch_bytes_ = 0;
  return {};
}

Result<> ObjectStaging::Keep(Content& content) {
  if (store_.Has(content.id)) {
    folders_.insert(FolderOf(content.id));
    return {};
  }
  TRY_ASSIGN(bool is_new, content.file ? LinkNew(content) : WriteNew(content));
  if (is_new) staged_.push_back(content.id);
  content.file.Reset();
  return {};
}

// False: the name is there, and so is its content.
Result<bool> ObjectStaging::WriteNew(const Content& content) {
  std::string name = content.id.Hex();
  auto file = OpenAt(dir_fd_, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, kObjectMode);
  if (!file) {
    if (file.error().code() == EEXIST) return false;
    return std::unexpected(file.error());
  }
  if (auto written = WriteAll(file->get(), content.bytes); !written) {
    unlinkat(dir_fd_, name.c_str(), 0);  // a name says that the content is whole
    return std::unexpected(written.error());
  }
  return true;
}

Result<bool> ObjectStaging::LinkNew(const Content& content) {
  std::string name = content.id.Hex();
  if (linkat(AT_FDCWD, FdPath(content.file.get()).c_str(), dir_fd_, name.c_str(),
             AT_SYMLINK_FOLLOW) == 0) {
    return true;
  }
  if (errno == EEXIST) return false;
  return Errno("link object " + name);
}

Result<ObjectId> ObjectStaging::AddFile(int fd, uint64_t size,
                                        const std::function<Result<>(std::string_view)>& tee,
                                        bool own) {
  Begin();
  int from = fd;
  bool is_there = false;  // `spill_` has the content, which is only hashed
  std::optional<OwnFile> kept;
  if (size > kMaxBuffered) {
    TRY_ASSIGN(spill_, NewFile());
    // Cloned first and read from the clone: what is hashed is what is kept, whatever happens to the
    // file meanwhile.
    if (ioctl(spill_.get(), FICLONE, fd) == 0) {
      is_there = true;
      if (ftruncate(spill_.get(), static_cast<off_t>(size)) != 0) return Errno("ftruncate");
      from = spill_.get();
    } else if (own && (kept = OwnFile::Begin(fd, size))) {
      is_there = true;
      spill_.Reset(fcntl(fd, F_DUPFD_CLOEXEC, 0));
      if (!spill_) return Errno("dup");
    }
  }
  std::unique_ptr<char[]> piece(new char[std::min<uint64_t>(kReadPiece, size)]);
  for (uint64_t at = 0; at < size;) {
    size_t want = static_cast<size_t>(std::min<uint64_t>(kReadPiece, size - at));
    TRY_ASSIGN(size_t got, PreadUpTo(from, piece.get(), want, at));
    std::fill(piece.get() + got, piece.get() + want, '\0');
    std::string_view data(piece.get(), want);
    TRY(tee(data));
    if (is_there) {
      hash_.Update(data);
      end_ = at + want;
    } else if (size > kMaxBuffered && data.find_first_not_of('\0') == data.npos) {
      // A piece of zeros stays a hole: Write() and Finish() hash what is left out.
    } else {
      TRY(Write(at, data));
    }
    at += want;
  }
  if (kept) TRY(kept->Finish(kObjectMode));
  return Finish(size);
}

Result<> ObjectStaging::AddContents(SyncSet& set) {
  TRY(Settle());
  for (const ObjectId& id : staged_) set.Add(dir_fd_, id.Hex());
  return {};
}

Result<> ObjectStaging::Name() {
  // In the order of their names: a directory's blocks are found again while they are in use.
  std::sort(staged_.begin(), staged_.end());
  for (const ObjectId& id : staged_) {
    std::string to = ObjectStore::PathOf(id);
    if (renameat(dir_fd_, id.Hex().c_str(), root_fd_, to.c_str()) == 0) continue;
    if (errno != ENOENT) return Errno("publish object " + id.Hex());
    TRY(EnsureDir(root_fd_, FolderOf(id), 0711));
    if (renameat(dir_fd_, id.Hex().c_str(), root_fd_, to.c_str()) != 0)
      return Errno("publish object " + id.Hex());
  }
  return FaultPoint("store.objects_named");
}

void ObjectStaging::AddNames(SyncSet& set) {
  for (const ObjectId& id : staged_) folders_.insert(FolderOf(id));
  for (const std::string& folder : folders_) set.Add(root_fd_, folder);
  if (!folders_.empty()) set.Add(root_fd_, "objects");
  staged_.clear();
  folders_.clear();
}

}  // namespace veneer
