// GzipCheck: checks what a gzip decoder gave against the CRC-32 and length that end each member
// (RFC 1952, 2.3.1).
//
// libarchive's gzip reader does not (and may end without an error where a trailer is cut off), nor
// does it tell where one member ends and the next begins. So this looks at both ends of it: every
// place of the input that could be the end of one member and the beginning of another is noted, and
// counts as one when the CRC-32 of the output between agrees. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace veneer {

class GzipCheck {
 public:
  // The decoder is about to be given `piece`.
  void Input(std::string_view piece);
  // The decoder gave `data`, having consumed so many bytes of the input.
  void Output(std::string_view data, uint64_t consumed);
  // The decoder has ended, and `trailer` is the last it consumed. False when that is not the
  // trailer of what it gave.
  bool Ended(std::string_view trailer) const;

  static constexpr size_t kTrailerSize = 8;

 private:
  struct Boundary {
    uint64_t position = 0;       // in the input, of what may be a header
    uint32_t crc = 0, size = 0;  // what stands before it
  };
  void Scan(std::string_view bytes, uint64_t position);

  uint64_t given_ = 0;
  std::string tail_;                  // the end of the input given so far
  std::vector<Boundary> boundaries_;  // not yet consumed, in order

  uint32_t crc_ = 0;   // of the current member's output
  uint64_t size_ = 0;  // of the current member's output
};

}  // namespace veneer
