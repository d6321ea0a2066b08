// One source of COPY or ADD as it was matched: all entries that are copied of it, contents hashed.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/tree/types.h"
#include "tools/build/copy/file_stamp.h"
#include "tools/build/copy/source_tree.h"
#include "tools/build/language/ignore_file.h"

namespace veneer::build {

struct CopiedEntry {
  static constexpr size_t kNone = std::numeric_limits<size_t>::max();

  std::string path;       // in the tree
  uint32_t depth = 0;     // below the source, which is at 0
  bool implied = false;   // a directory that is there only for what is in it
  bool in_store = false;  // `content` is an object of the store
  tree::Attributes attr;
  std::vector<tree::Xattr> xattrs;
  std::string link_target;
  ObjectId content;           // regular files that are not empty
  size_t first_name = kNone;  // regular files: the entry that is an earlier name of this file
  FileStamp stamp;            // of files that were read

  std::string_view name() const {
    return std::string_view(path).substr(path.rfind('/') + 1);  // npos + 1 == 0
  }
  bool has_content() const { return S_ISREG(attr.mode) && attr.size > 0; }
};

// What is copied of a directory. Both match paths below it; null: no such patterns.
struct CopyFilter {
  const IgnoreMatcher* include = nullptr;  // only what one of these matches, and what is in it
  const IgnoreMatcher* exclude = nullptr;
  // The path of the only pattern of `include`, as far as it has no wildcards: spares a search.
  std::vector<std::string> include_below;
};

// The entry at `path` and, if it is a directory, all below it that `filter` lets through: a
// directory before what is in it, names in byte order. Nothing is read.
Result<std::vector<CopiedEntry>> CollectEntries(const SourceTree& tree, const std::string& path,
                                                const CopyFilter& filter);

// Reads and hashes the files whose content is not an object of the store, on two threads if there
// are many. EAGAIN: a file changed meanwhile.
Result<> HashContents(const SourceTree& tree, std::vector<CopiedEntry>& entries);

struct CopiedSource {
  const SourceTree* tree = nullptr;
  std::string name;           // what a file is called where the destination is a directory
  bool contents_only = true;  // a directory that is copied gives its content
  bool unpack = false;        // it is an archive, to be unpacked
  bool made_now = false;      // its files have no time but the step's
  std::vector<CopiedEntry> entries;
};

}  // namespace veneer::build
