// Layers of build steps: made from an upper that a step wrote to, or entry by entry, in an
// IngestSession.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/ingest.h"
#include "store/tree/merged_tree.h"

namespace veneer {

// An upper and a work directory for a mount of `chain`, below the session's folder, where a sweep
// finds and removes them if this process dies. The upper's root has the attributes of the chain's.
struct StepUpper {
  std::string upper;  // absolute paths
  std::string work;
};
Result<StepUpper> MakeStepUpper(IngestSession& session, const tree::MergedTree& chain);

struct StepLayerOptions {
  // SOURCE_DATE_EPOCH: modification times after it become it (seconds since the epoch).
  std::optional<int64_t> latest_mtime;
  std::function<void(uint64_t)> on_bytes;  // content bytes read; may be empty
};

// The layer of what `upper_fd` changes of `chain`. Large files of the upper may become objects as
// they are, so it is of no use afterwards. REQUIRES: the upper is one of this session's, and nobody
// writes to it any more (its daemon has let go of it).
Result<StagedLayer> StageUpper(IngestSession& session, int upper_fd, const tree::MergedTree& chain,
                               const StepLayerOptions& options);

}  // namespace veneer
