// CacheLedger: what the build cache takes on disk, and what becomes free as its records go.
//
// Files are shared: by the layers of the cache, by its merged trees, and with images. So what a
// record frees depends on which others are still there. The ledger knows for each file that the
// cache reaches how many layers or records hold it. It is a picture of one moment. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/catalog.h"
#include "store/store.h"

namespace veneer {

class CacheLedger {
 public:
  // REQUIRES: a WorkLease. What cannot be read counts nothing.
  static Result<CacheLedger> Read(Store& store);

  const std::vector<BuildRecord>& records() const { return records_; }  // as the catalogue has them

  // What follows takes an index into records().
  uint64_t LayerBytes(size_t record) const;  // its topmost layer, on disk, whoever shares it
  bool IsShared(size_t record) const;        // an image has its topmost layer
  int64_t LastUse(size_t record) const;      // of it, or of a record that builds upon it
  void Remove(size_t record);                // it holds nothing any more. REQUIRES: once

  uint64_t bytes() const { return bytes_; }  // on disk: what records hold and no image

 private:
  struct File {
    uint64_t bytes = 0;
    uint32_t holders = 0;  // layers and records of the cache
    bool in_image = false;
  };
  struct Layer {
    std::vector<uint32_t> files;
    uint64_t bytes = 0;
    uint32_t holders = 0;  // records, once for each time it stands in them
    bool in_image = false;
  };

  class Reader;

  CacheLedger() = default;

  std::vector<BuildRecord> records_;
  std::vector<std::vector<uint32_t>> trees_;  // beside records_: the files of their merged trees
  std::vector<File> files_;
  std::map<DiffId, Layer> layers_;       // those of records, and those of images
  std::map<ChainId, int64_t> last_use_;  // of a chain and all that builds upon it
  uint64_t bytes_ = 0;
};

}  // namespace veneer
