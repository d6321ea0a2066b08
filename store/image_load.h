// Loading images: docker-archive (modern and legacy), OCI archive, OCI layout directory; any
// compression, by content.
//
// One pass over the stream, nothing unpacked: members that are layers are ingested as they pass,
// small JSON is kept, and when the end is reached manifests, configs and layers are matched.
// Verified: the digest and size of every blob that has one by name or descriptor, the DiffID of
// every layer against the config, the image ID. Only when all images of the archive are whole is
// anything published, in one transaction: a bad archive leaves the store as it was.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/base/result.h"
#include "store/store.h"

namespace veneer {

struct LoadOptions {
  std::function<void(uint64_t)> on_bytes;  // called with bytes read from the input; may be empty
  std::string architecture;                // of an index with several platforms; empty: the host's
};

struct LoadedImage {
  ImageId id;
  std::vector<std::string> references;  // canonical names it was given
};

// Loads all images of the archive read from `fd` (a pipe or a file, from its present position).
// Errors are sentences about the archive: EBADMSG damaged or not an image archive; others from the
// store.
Result<std::vector<LoadedImage>> LoadArchive(Store& store, int fd, const LoadOptions& options);

// The same for an OCI layout in a directory.
Result<std::vector<LoadedImage>> LoadLayout(Store& store, const std::string& directory,
                                            const LoadOptions& options);

}  // namespace veneer
