// Where a build's result goes: --output.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
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
  std::string destination;  // a file, a directory (kLocal; kOci with tar=false), or "-"
  std::vector<std::string> names;  // kImage: name=…
  bool as_archive = true;          // kOci, kDocker: tar=
};

// The value of --output: "type=local,dest=out", a path alone (local), "-" (a tar on standard
// output). Errors (EINVAL) are Docker's; type=registry and push=true (ENOTSUP): there is no registry
// client yet.
Result<OutputSpec> ParseOutput(std::string_view text);

struct BuildResult {
  std::vector<DiffId> layers;  // lowest first
  std::string config;          // the image's config, JSON
  ImageId image;
  std::vector<std::string> references;       // of -t, canonical
  std::optional<int64_t> source_date_epoch;  // seconds
};

// Where standard output is the destination, nothing else may be written there.
bool WritesToStandardOutput(const OutputSpec& output);

// Writes the result. kImage puts the image and its references into the catalogue, the others need
// neither. A file appears whole or not at all; kLocal adds to what is in the directory. REQUIRES: a
// shared WorkLease has been held since the layers were made or found.
Result<> WriteOutput(Store& store, const BuildResult& result, const OutputSpec& output);

}  // namespace veneer::build
