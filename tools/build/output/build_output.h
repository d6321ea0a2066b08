// Where a build's result goes: --output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/store.h"

namespace veneer::build {

enum class OutputKind { kImage, kOci, kDocker, kTar, kLocal, kNone };

struct OutputSpec {
  OutputKind kind = OutputKind::kImage;
  std::string destination;         // a file, a directory (kLocal; kOci with tar=false), or "-"
  std::vector<std::string> names;  // kImage, kOci, kDocker: name=…, canonical
  bool as_archive = true;          // kOci: tar=
};

// The value of --output: "type=local,dest=out", a path alone (local), "-" (a tar on standard
// output). type=docker without a destination, which is Docker's store there, is kImage; cacheonly
// is kNone. Errors (EINVAL) are Docker's, of destinations that are no good as well; what we do not
// have is ENOTSUP: type=registry and push=true (there is no registry client yet), compressed
// layers, annotations.
Result<OutputSpec> ParseOutput(std::string_view text);

struct BuildResult {
  std::vector<DiffId> layers;  // lowest first
  std::string config;          // the image's config, JSON
  ImageId image;
  std::vector<std::string> references;       // of -t, canonical
  std::optional<int64_t> source_date_epoch;  // seconds
};

// The names that the result goes by in `output`: of -t, and those of name=.
std::vector<std::string> NamesIn(const BuildResult& result, const OutputSpec& output);

// What the log says of an output that was written, in BuildKit's words: "exporting to client
// directory", and what was done, a line each. Of kNone, which is nothing, nothing.
std::string TitleOf(const OutputSpec& output);
std::vector<std::string> DoneIn(const BuildResult& result, const OutputSpec& output);

// Where standard output is the destination, nothing else may be written there.
bool WritesToStandardOutput(const OutputSpec& output);

// Writes the result. kImage puts the image and its references into the catalogue, the others need
// neither. A file appears whole or not at all; kLocal adds to what is in the directory
// (local_output.h), kOci with tar=false to the layout there. Owners of files are kept but for
// kLocal. REQUIRES: a shared WorkLease has been held since the layers were made or found.
Result<> WriteOutput(Store& store, const BuildResult& result, const OutputSpec& output);

}  // namespace veneer::build
