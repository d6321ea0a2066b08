// ByteSource and ByteSink: the two ends of every stream in the store. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "store/base/background_sha256.h"
#include "store/base/digest.h"
#include "store/base/result.h"

namespace veneer {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // The next bytes, at least one; empty at the end. Valid until the next call.
  virtual Result<std::string_view> Next() = 0;
};

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Result<> Write(std::string_view data) = 0;
};

// Reads a descriptor (borrowed) from its current position to its end, or `limit` bytes.
class FdSource : public ByteSource {
 public:
  explicit FdSource(int fd, uint64_t limit = UINT64_MAX);
  Result<std::string_view> Next() override;

 private:
  struct FreeBuffer {
    void operator()(char* buffer) const;
  };
  int fd_;
  uint64_t left_;
  std::unique_ptr<char[], FreeBuffer> buffer_;
};

// `first` (borrowed, may be empty), then the rest: gives a source back the piece that was taken to
// look at.
class PrefixedSource : public ByteSource {
 public:
  PrefixedSource(std::string_view first, ByteSource& rest) : first_(first), rest_(rest) {}
  Result<std::string_view> Next() override {
    return first_.empty() ? rest_.Next() : std::exchange(first_, std::string_view());
  }

 private:
  std::string_view first_;
  ByteSource& rest_;
};

// Writes to a descriptor (borrowed).
class FdSink : public ByteSink {
 public:
  explicit FdSink(int fd) : fd_(fd) {}
  Result<> Write(std::string_view data) override;

 private:
  int fd_;
};

// Passes a source on, hashing and counting it. After Next() returned empty, digest() and size()
// describe all of it.
class HashingSource : public ByteSource {
 public:
  explicit HashingSource(ByteSource& from) : from_(from) {}
  Result<std::string_view> Next() override;
  uint64_t size() const { return size_; }
  Digest digest() const { return digest_; }  // REQUIRES: the end was reached
  Result<> Drain();                          // reads to the end

 private:
  ByteSource& from_;
  BackgroundSha256 hash_;
  Digest digest_;
  uint64_t size_ = 0;
  bool ended_ = false;
};

}  // namespace veneer
