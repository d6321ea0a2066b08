#include "store/archive/byte_stream.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "store/base/beneath.h"

namespace veneer {

namespace {
constexpr size_t kReadSize = size_t{256} << 10;
constexpr std::align_val_t kReadAlignment{4096};
}  // namespace

void FdSource::FreeBuffer::operator()(char* buffer) const {
  ::operator delete[](buffer, kReadAlignment);
}

FdSource::FdSource(int fd, uint64_t limit)
    : fd_(fd),
      left_(limit),
      buffer_(static_cast<char*>(::operator new[](kReadSize, kReadAlignment))) {}

Result<std::string_view> FdSource::Next() {
  size_t want = std::min<uint64_t>(kReadSize, left_);
  if (want == 0) return std::string_view();
  ssize_t got;
  do {
    got = read(fd_, buffer_.get(), want);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Errno("read");
  left_ = got == 0 ? 0 : left_ - static_cast<size_t>(got);
  return std::string_view(buffer_.get(), static_cast<size_t>(got));
}

Result<> FdSink::Write(std::string_view data) { return WriteAll(fd_, data); }

Result<std::string_view> HashingSource::Next() {
  if (ended_) return std::string_view();
  TRY_ASSIGN(std::string_view data, from_.Next());
  if (data.empty()) {
    ended_ = true;
    TRY_ASSIGN(digest_, hash_.Finish());
  } else {
    TRY(hash_.Update(data));
    size_ += data.size();
  }
  return data;
}

Result<> HashingSource::Drain() {
  for (;;) {
    TRY_ASSIGN(std::string_view data, Next());
    if (data.empty()) return {};
  }
}

}  // namespace veneer
