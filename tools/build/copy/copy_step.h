// COPY and ADD: what they match, the digest of it, and the layer it makes, without a mount.
//
// Rules of BuildKit's: a source that is a directory gives its content; a destination that ends with
// "/" is a directory, and so is one that exists as one; wildcards are Go's, and may match nothing;
// symlinks of the destination are resolved in the chain (not with --link); directories made on the
// way are 0755 or as an octal --chmod says, and --chown's or 0:0; owners are those of the source
// unless --chown says otherwise; setuid bits, capabilities and modification times are kept; hard
// links among the files of one source stay links. The layer repeats the chain's directories that
// its files are in as they are: what takes a layer alone must not invent their modes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/layer_writer.h"
#include "store/tree/merged_tree.h"
#include "tools/build/copy/source_tree.h"
#include "tools/build/language/instruction.h"

namespace veneer::build {

// A file that ADD brought from elsewhere: its name and where it is.
struct FetchedFile {
  std::string name;              // the last part of the URL's path
  std::string path;              // absolute, on the host
  std::optional<int64_t> mtime;  // Last-Modified, seconds since the epoch; nothing: 0
};

struct CopySpec {
  const SourceTree* from = nullptr;  // of `sources`; must outlive the step
  std::vector<std::string> sources;  // as they stand, expanded; no URLs
  bool literal = false;              // they are names: nothing in them is a wildcard
  std::vector<HeredocSource> heredocs;
  std::vector<FetchedFile> fetched;  // mode 0600
  // Repositories that ADD checked out: the content of each goes to the destination.
  std::vector<const SourceTree*> checked_out;
  std::string destination;  // absolute: the working directory is in it; a "/" or "/." at the end
                            // counts
  std::string chown;
  std::string chmod;
  std::vector<std::string> exclude;
  bool parents = false;
  bool link = false;           // the layer does not depend on the chain
  bool is_add = false;         // archives among `sources` are unpacked, unless `unpack` is false
  std::optional<bool> unpack;  // ADD --unpack: also of `fetched`
  // An empty directory for what is unpacked, the caller's to remove once the layer is written.
  std::string scratch;
};

class CopyStep {
 public:
  // Matches and reads all sources. `chain` is what the step is on (the names of --chown are looked
  // up in it, and the destination's symlinks); null with `link` to say that there is none. Both
  // must outlive the step. Errors are BuildKit's: "\"/x\": not found", "failed to compute cache
  // key…" is the caller's; "invalid user index: -1", …
  static Result<std::unique_ptr<CopyStep>> Prepare(Store& store, CopySpec spec,
                                                   std::shared_ptr<const tree::MergedTree> chain);
  virtual ~CopyStep() = default;

  // What is copied: names, types, modes, owners, xattrs, link targets and contents; not times.
  // And how: destination, --chown as numbers, --chmod, --parents, what unpacking does.
  virtual Digest Key() const = 0;

  // The entries of the layer. `latest_mtime`: later times become it. A file that changed since
  // Prepare is an error (EAGAIN "x changed while it was read").
  virtual Result<> Write(LayerWriter& writer, std::optional<int64_t> latest_mtime) = 0;
};

}  // namespace veneer::build
