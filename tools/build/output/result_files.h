// --iidfile and --metadata-file: what a build tells the scripts around it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/store.h"
#include "tools/build/output/build_output.h"

namespace veneer::build {

// Writes "sha256:<hex>", without a newline, as Docker does. The file appears whole or not at all;
// errors name it.
Result<> WriteImageIdFile(const std::string& path, const ImageId& image);

// What buildx says of the result, keys sorted: of an image "containerimage.config.digest",
// "containerimage.digest" and, if it has names, "image.name" (they are joined by commas). Of one in
// an archive or layout the digest is its manifest's, whose "containerimage.descriptor" is there
// too; of one in the store it is the image ID, as in Docker's. Of files alone nothing is said.
// REQUIRES: as for WriteOutput.
Result<nlohmann::json> BuildMetadata(Store& store, const BuildResult& result,
                                     const std::vector<OutputSpec>& outputs);

// Writes it, indented as buildx does.
Result<> WriteMetadataFile(const std::string& path, const nlohmann::json& metadata);

}  // namespace veneer::build
