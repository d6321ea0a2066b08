#include "tools/build/copy/content_spool.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "store/base/beneath.h"

namespace veneer::build {
namespace {

constexpr uint64_t kSmall = 1 << 20;

}  // namespace

Result<ContentSpool> ContentSpool::Create(const std::string& folder) {
  TRY_ASSIGN(UniqueFd fd, OpenAt(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY));
  ContentSpool spool(std::move(fd));
  TRY_ASSIGN(spool.shared_, OpenAt(spool.folder_.get(), "contents",
                                   O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  return spool;
}

Result<size_t> ContentSpool::Begin(uint64_t size) {
  TRY(End());
  const size_t number = contents_.size();
  Content content{.size = size, .at = shared_end_, .alone = size > kSmall};
  if (content.alone) {
    if (size > static_cast<uint64_t>(INT64_MAX)) return Fail(EFBIG, "unpack");
    TRY_ASSIGN(current_, OpenAt(folder_.get(), NameOf(number),
                                O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    if (ftruncate(current_.get(), static_cast<off_t>(size)) != 0) return Errno("unpack");
  } else {
    small_.assign(size, '\0');
    writing_small_ = true;
  }
  contents_.push_back(content);
  return number;
}

Result<> ContentSpool::Write(uint64_t offset, std::string_view data) {
  if (current_) return PwriteAll(current_.get(), data, offset);
  if (offset > small_.size() || data.size() > small_.size() - offset)
    return Fail(EFBIG, "unpack");  // more than was said
  std::ranges::copy(data, small_.begin() + static_cast<ptrdiff_t>(offset));
  return {};
}

Result<> ContentSpool::End() {
  current_.Reset();
  if (!std::exchange(writing_small_, false)) return {};
  TRY(PwriteAll(shared_.get(), small_, shared_end_));
  shared_end_ += small_.size();
  return {};
}

Result<UniqueFd> ContentSpool::Open(size_t number) {
  TRY(End());
  const Content& content = contents_[number];
  if (content.alone) return OpenAt(folder_.get(), NameOf(number), O_RDONLY | O_NOFOLLOW);
  std::string bytes(content.size, '\0');
  TRY_ASSIGN(const size_t got, PreadUpTo(shared_.get(), bytes.data(), bytes.size(), content.at));
  if (got < bytes.size()) return Fail(EIO, "read what was unpacked");
  UniqueFd file(memfd_create("unpacked", MFD_CLOEXEC));
  if (!file) return Errno("memfd_create");
  TRY(PwriteAll(file.get(), bytes, 0));
  return file;
}

}  // namespace veneer::build
