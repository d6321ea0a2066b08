// ArchiveMembers: the members of an image archive (a tar), one after another, from a stream that
// cannot seek.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "store/archive/byte_stream.h"
#include "store/base/result.h"

namespace veneer {

struct ArchiveMember {
  enum class Type { kFile, kLink, kOther } type = Type::kOther;
  std::string path;    // "./" and "/" in front and "/" behind removed
  std::string target;  // kLink: where a symlink or hard link leads, as the archive gives it
  bool hard_link = false;
  uint64_t size = 0;
};

class ArchiveMembers {
 public:
  // Reads `tar` (borrowed, decompressed). EBADMSG from any call: not a tar, truncated or damaged.
  static Result<std::unique_ptr<ArchiveMembers>> Create(ByteSource& tar);
  virtual ~ArchiveMembers() = default;

  // Advances to the next member, skipping what is left of the present one; false at the end of the
  // stream.
  virtual Result<bool> Next(ArchiveMember& member) = 0;
  // The present member's content; valid until Next.
  virtual ByteSource& content() = 0;
};

}  // namespace veneer
