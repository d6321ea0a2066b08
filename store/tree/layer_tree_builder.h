// LayerTreeBuilder: collects the entries of one layer in the order a tar gives them and writes its
// tree file.
//
// Rules (OCI image-spec layer.md, and what tar extraction does): the last entry for a name wins; a
// directory given again keeps its children and takes the new attributes; a non-directory replaces a
// directory with all below it and the reverse; a name's missing parents become placeholder
// directories; a parent that is a symlink made by this same layer is followed within the layer, as
// extraction in a root would (ELOOP past 40); a hard link to a name of this layer shares its inode,
// to any other path it is an external link; whiteouts hide only what is in the layers below,
// whatever the order of entries. Memory: at most about 64 bytes per name plus the names;
// attributes, xattrs and targets are spooled to a temporary file. Not thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/tree/types.h"

namespace veneer::tree {

class LayerTreeBuilder {
 public:
  // Spools to an unnamed temporary file in directory `dirfd` (borrowed during the call only).
  static Result<std::unique_ptr<LayerTreeBuilder>> Create(int dirfd);
  virtual ~LayerTreeBuilder() = default;

  // Paths are relative to the root, '/'-separated; "" or "." is the root; leading "/" and "./",
  // empty and "." components are ignored. Errors: EINVAL for ".." and NUL, ENAMETOOLONG for a
  // component over 255 bytes. Add: any inode but a hard link. `link_target` for symlinks, `object`
  // for regular files with size > 0.
  virtual Result<> Add(std::string_view path, const Attributes& attr, const ObjectId& object,
                       std::string_view link_target, const std::vector<Xattr>& xattrs) = 0;
  virtual Result<> AddHardLink(std::string_view path, std::string_view target) = 0;
  virtual Result<> AddWhiteout(
      std::string_view path) = 0;  // the path that is deleted, without ".wh."
  virtual Result<> SetOpaque(std::string_view directory) = 0;

  // Writes the tree to `fd` from offset 0 (not synced). The builder is spent. Same entries, same
  // bytes.
  virtual Result<> Finish(int fd) = 0;
};

}  // namespace veneer::tree
