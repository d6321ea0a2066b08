// HashContents: reading what is copied.
#include <algorithm>
#include <atomic>
#include <memory>

#include "store/base/beneath.h"
#include "store/base/worker.h"
#include "tools/build/copy/copied_source.h"

namespace veneer::build {
namespace {

constexpr size_t kPiece = 256 << 10;         // bytes per read
constexpr size_t kShare = 32;                // files that a thread takes at a time
constexpr uint64_t kWorthAThread = 4 << 20;  // bytes, or
constexpr size_t kFilesWorthAThread = 256;

class Hashing {
 public:
  Hashing(const SourceTree& tree, std::vector<CopiedEntry>& entries)
      : tree_(tree), entries_(entries) {
    for (CopiedEntry& entry : entries_) {
      if (!entry.has_content() || entry.in_store || entry.first_name != CopiedEntry::kNone)
        continue;
      files_.push_back(&entry);
      bytes_ += entry.attr.size;
    }
  }

  Result<> Run() {
    Worker worker(1);
    if (files_.size() > 1 && (files_.size() >= kFilesWorthAThread || bytes_ >= kWorthAThread)) {
      // Without a thread to be had, this one does it all.
      (void)worker.Give([this] { return Work(); });
    }
    TRY(Work());
    if (worker.started()) TRY(worker.Finish());
    for (CopiedEntry& entry : entries_) {
      if (entry.first_name == CopiedEntry::kNone) continue;
      entry.content = entries_[entry.first_name].content;
      entry.in_store = entries_[entry.first_name].in_store;
      entry.stamp = entries_[entry.first_name].stamp;
    }
    return {};
  }

 private:
  Result<> Work() {
    const std::unique_ptr<char[]> piece(new char[kPiece]);
    Sha256 hash;
    for (;;) {
      const size_t from = next_.fetch_add(Share());
      if (from >= files_.size() || failed_) return {};
      const size_t end = std::min(from + Share(), files_.size());
      for (size_t i = from; i < end; ++i) {
        auto hashed = HashFile(*files_[i], hash, piece.get());
        if (hashed) continue;
        failed_ = true;
        return hashed;
      }
    }
  }

  // Few large files are shared out one by one.
  size_t Share() const { return files_.size() >= kFilesWorthAThread ? kShare : 1; }

  Result<> HashFile(CopiedEntry& entry, Sha256& hash, char* piece) const {
    auto opened = tree_.Open(entry.path);
    if (!opened) {
      if (opened.error().code() == ENOENT) return ChangedMeanwhile(entry.path);
      return std::unexpected(opened.error());
    }
    const int fd = opened->get();
    TRY_ASSIGN(entry.stamp, StampOf(fd));
    if (static_cast<uint64_t>(entry.stamp.size) != entry.attr.size)
      return ChangedMeanwhile(entry.path);
    for (uint64_t at = 0; at < entry.attr.size;) {
      const size_t want = static_cast<size_t>(std::min<uint64_t>(kPiece, entry.attr.size - at));
      TRY_ASSIGN(const size_t got, PreadUpTo(fd, piece, want, at));
      if (got < want) return ChangedMeanwhile(entry.path);
      hash.Update({piece, got});
      at += got;
    }
    entry.content = ObjectId(hash.Finish());
    TRY_ASSIGN(const FileStamp after, StampOf(fd));
    if (after != entry.stamp) return ChangedMeanwhile(entry.path);
    return {};
  }

  const SourceTree& tree_;
  std::vector<CopiedEntry>& entries_;
  std::vector<CopiedEntry*> files_;
  uint64_t bytes_ = 0;
  std::atomic<size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
};

}  // namespace

Result<> HashContents(const SourceTree& tree, std::vector<CopiedEntry>& entries) {
  return Hashing(tree, entries).Run();
}

}  // namespace veneer::build
