// TarFramer: follows the raw headers of a tar stream and tells, byte by byte, what is file content
// and what is not.
//
// It takes the stream in chunks of any size and queues what it finds: one TarFrame for each entry
// once that entry's headers are complete, and the literal bytes (all that are not the stored bytes
// of a regular file) in stream order. What is queued is bounded by what was fed and not yet taken.
// Not thread-safe.
//
// The framer is strict where readers of tar are known to differ (two names for one entry, sizes of
// entries without content, sparse fields in an entry that is not sparse, ...): such archives are
// EBADMSG, because they could show one tree to Veneer and another to somebody else.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "store/archive/pax_records.h"
#include "store/archive/tar_header.h"
#include "store/base/result.h"

namespace veneer {

struct TarFrame {
  enum class Kind { kRegular, kHardLink, kSymlink, kCharDevice, kBlockDevice, kDirectory, kFifo };
  Kind kind = Kind::kRegular;
  bool sparse = false;
  uint32_t permissions = 0;
  std::string path, link_path;  // raw bytes
  // What PAX records say of these.
  std::optional<int64_t> uid, gid;
  std::optional<PaxTime> mtime;
  std::optional<std::string> acl_access, acl_default;

  uint64_t start =
      0;  // offset in the stream of the entry's first header, extension headers included
  uint64_t body = 0;     // offset of the first byte after the headers (and a GNU 1.0 sparse map)
  uint64_t payload = 0;  // bytes from `body` that are content of a regular file; else 0
};

class TarFramer {
 public:
  // The next bytes of the tar. EBADMSG: damaged, or beyond what Veneer reads.
  Result<> Feed(std::string_view chunk);
  // The stream ends here. EBADMSG when it must not.
  Result<> End() const;

  // The next entry whose headers are complete, if there is one.
  std::optional<TarFrame> TakeFrame();

  // The literal bytes not yet taken that stand before the first payload not yet passed. Valid until
  // the next call.
  std::string_view TakeLiterals();
  // The payload that stopped TakeLiterals has been dealt with. REQUIRES: there is one.
  void PassPayload();

  uint64_t position() const { return position_; }  // bytes fed

 private:
  enum class State {
    kHeader,         // collecting a header block
    kExtension,      // collecting the body of an extension header
    kSparseBlock,    // collecting an extension block of an old GNU sparse map
    kSparseMap,      // reading the numbers of a GNU 1.0 map
    kSparseMapRest,  // literal bytes up to the block's end, then the payload
    kPayload,
    kLiteralBody,  // a body that is no file's content (hard link, GNU dump directory)
    kPadding,
    kEnd,  // after the end marker everything is literal
  };

  Result<> OnHeader();
  Result<> OnExtension();
  Result<> OnEntry(const TarHeader& header);
  Result<> ChooseNames(const TarHeader& header);
  Result<uint64_t> StoredSize(const TarHeader& header);
  Result<> OnSparse(const TarHeader& header, uint64_t stored);
  Result<> CountSparseExtents(uint64_t more);
  Result<> FeedSparseMap(char c);
  void BeginBody(uint64_t stored);
  void BeginPadding();
  void Expect(State state, uint64_t bytes);
  std::unexpected<Error> Bad(std::string_view what) const;

  State state_ = State::kHeader;
  uint64_t left_ = kTarBlock;  // bytes until the state's end
  std::string collected_;      // of a header, extension or sparse block
  uint64_t position_ = 0;

  // Of the entry whose headers are being read.
  TarFrame frame_;
  bool in_entry_ = false;        // some header of it was seen
  bool needs_entry_ = false;     // one that must be followed by an entry
  uint32_t extensions_ = 0;      // how many of them
  char extension_type_ = 0;      // of the one being collected
  uint64_t extension_size_ = 0;  // of its body, without padding
  std::optional<std::string> long_path_, long_link_;
  std::optional<PaxRecords> pax_;
  uint64_t stored_ = 0;  // body bytes, a 1.0 map included
  uint64_t sparse_extents_ = 0;
  uint64_t map_bytes_ = 0;   // of a 1.0 map so far
  uint64_t map_number_ = 0;  // the number being read
  uint32_t map_digits_ = 0;
  uint64_t map_numbers_left_ = 0;
  bool map_counted_ = false;

  bool pax_archive_ = false;  // PAX headers were seen and no older header since

  std::deque<TarFrame> frames_;
  std::string literals_;
  size_t literals_taken_ = 0;           // from the front of literals_
  uint64_t literals_passed_ = 0;        // bytes ever removed from literals_
  std::deque<uint64_t> payload_marks_;  // per payload not passed: count of literal bytes before it
};

// A name for a message: quoted, control and non-ASCII bytes escaped, long ones cut.
std::string QuoteTarPath(std::string_view path);

}  // namespace veneer
