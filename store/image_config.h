// ImageConfig: the JSON config of an image (OCI image-spec, config.md; Docker's are the same with
// more fields).
//
// The raw bytes are kept: the image ID is their digest. Parsing is lenient in what Veneer does not
// use.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"

namespace veneer {

struct ImageConfig {
  nlohmann::ordered_json json;
  std::vector<DiffId> diff_ids;  // rootfs.diff_ids, lowest first

  // EINVAL: not JSON, or rootfs.diff_ids is missing or malformed.
  static Result<ImageConfig> Parse(std::string_view raw);
  static ImageId IdOf(std::string_view raw) { return ImageId(Digest::Of(raw)); }

  std::string created() const;  // RFC 3339 as it stands; empty when absent
  std::string os() const;
  std::string architecture() const;
};

// This machine's architecture in OCI's words ("amd64", "arm64", …).
std::string HostArchitecture();

}  // namespace veneer
