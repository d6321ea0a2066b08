// `veneer history`: an image's history in Docker's table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "tools/go_value.h"

namespace veneer::tools {

struct HistoryOptions {
  std::string format;        // --format; empty for the table
  bool human = true;         // -H=false: dates and bytes rather than ages and sizes
  bool no_trunc = false;     // whole IDs and commands
  bool quiet = false;        // -q: IDs alone
  bool no_headings = false;  // a table without its first line
};

// The rows of the listing, newest first, with Docker's placeholders: ID, CreatedSince, CreatedAt,
// CreatedBy, Size, Comment. The first carries `image_id` ("sha256:…"), the others <missing>.
//
// `config` is an OCI or Docker image config; `layer_sizes` the bytes of each layer, base first.
// History that does not fit the layers is shown as far as it goes: layers nobody wrote a line about
// get an empty one, as the newest.
std::vector<Json> HistoryRows(std::string_view image_id, const Json& config,
                              std::span<const uint64_t> layer_sizes, const HistoryOptions& options,
                              int64_t now);

// What the command prints. `now` is in seconds since 1970. Errors (EINVAL) are those of the format.
Result<std::string> FormatHistory(std::string_view image_id, const Json& config,
                                  std::span<const uint64_t> layer_sizes,
                                  const HistoryOptions& options, int64_t now);

}  // namespace veneer::tools
