// Finding images by what people call them.
#pragma once

#include <string>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/image_config.h"
#include "store/store.h"

namespace veneer::tools {

struct ResolvedImage {
  ImageId id;
  std::string reference;  // canonical, when `text` was a reference; empty when it was an ID
};

// `text`: a reference (debian, debian:12, localhost:5000/x:y) or an ID ("sha256:…", or an
// unambiguous prefix of one). ENOENT "No such image: …".
Result<ResolvedImage> ResolveImage(Store& store, const std::string& text);

// Whether a reference, as a person wrote it, has neither tag nor digest.
bool IsNameOnly(const std::string& text);

// Everything about an image that listings show.
struct ImageFacts {
  ImageId id;
  ImageConfig config;
  std::vector<std::string> references;  // canonical
  std::vector<LayerRow> layers;         // lowest first
  int64_t size = 0;                     // bytes of all layers' files, as Docker counts an image
};
Result<ImageFacts> DescribeImage(Store& store, const ImageId& id);

}  // namespace veneer::tools
