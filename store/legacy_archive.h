// Archives of docker before 1.10: `repositories`, and per layer a folder with `json` (the v1 image)
// and `layer.tar`.
//
// Private to loading. Such an image has no config of its own: one is made from the v1 JSON of the
// top layer, with a history from all of them, as Docker does when it loads one (moby image/v1).
#pragma once

#include <string>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/image_blobs.h"

namespace veneer {

struct LegacyImage {
  std::string top;                 // "<id>/json" of its top layer
  std::vector<std::string> names;  // "repository:tag"
  std::vector<std::string>
      layer_paths;  // lowest first; layers without content ("throwaway") are left out
  std::vector<const std::string*> v1_json;  // of every v1 image of the chain, lowest first; in the
                                            // ImageBlobs it was read from
};

Result<std::vector<LegacyImage>> ReadLegacyArchive(ImageBlobs& blobs,
                                                   const std::string& repositories);

// The config of an image whose layers have these DiffIDs: byte for byte Docker's, hence the same
// image ID, where docker 1.8.3 or later wrote the v1 JSON. (Of older ones Docker adds every absent
// field.)
Result<std::string> LegacyConfig(const LegacyImage& image, const std::vector<DiffId>& diff_ids);

}  // namespace veneer
