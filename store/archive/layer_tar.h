// Reading a layer's tar: entries for the tree and contents for the objects on one side, and on the
// other the split of the very same bytes into literals and payloads for the recipe.
//
// libarchive reads the entries; TarFramer (a thin parser of our own, tar_framer.h) follows the raw
// headers, because libarchive hides them. Where the two disagree on a name or a size the archive is
// refused (EBADMSG).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/archive/byte_stream.h"
#include "store/base/result.h"
#include "store/tree/types.h"

namespace veneer {

struct TarEntry {
  std::string path;  // as the archive gives it: raw bytes, not normalised
  enum class Kind { kInode, kHardLink } kind = Kind::kInode;
  tree::Attributes attr;  // mode carries the type; size is the logical size (sparse files expanded)
  std::string link_target;  // symlink target, or the path a hard link names
  std::vector<tree::Xattr>
      xattrs;  // SCHILY.xattr, LIBARCHIVE.xattr; SCHILY.acl.* as system.posix_acl_* values
};

// Bytes of the tar that are a file's content: `length` bytes from `offset` of that content.
struct PayloadExtent {
  uint64_t offset = 0;
  uint64_t length = 0;
};

class LayerTarVisitor {
 public:
  virtual ~LayerTarVisitor() = default;

  // Calls come in stream order. For an entry: OnEntry; then for a regular file with stored bytes
  // OnContent for each extent's bytes in increasing offset (gaps and the tail up to attr.size are
  // holes); then OnEntryEnd. A hard link never has content: bytes it carries are literals.
  virtual Result<> OnEntry(const TarEntry& entry) = 0;
  virtual Result<> OnContent(uint64_t offset, std::string_view data) = 0;
  virtual Result<> OnEntryEnd() = 0;

  // The split: every byte of the tar in order is either in OnLiteral, or stands in the extents of
  // the OnPayload that comes after that entry's OnEntryEnd and before any OnEntryEnd of a later
  // entry. A file without stored bytes has no OnPayload. Extents are not empty, go up and do not
  // touch. Literals may come at any time, in pieces of any size.
  virtual Result<> OnLiteral(std::string_view data) = 0;
  virtual Result<> OnPayload(const std::vector<PayloadExtent>& extents) = 0;
};

// Reads all of `tar` (decompressed) to its very end. EBADMSG: not a tar, truncated, something that
// readers of tar take differently (README.md), or libarchive and the framer disagree; the message
// names the entry. Errors of `tar` and `visitor` come out as they are. A wholly empty stream and a
// stream of zero blocks are empty layers. Memory: some 10 MB, and 50 more for the most fragmented
// sparse file that is read (524,288 extents).
Result<> ReadLayerTar(ByteSource& tar, LayerTarVisitor& visitor);

}  // namespace veneer
