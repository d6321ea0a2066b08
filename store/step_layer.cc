#include "store/step_layer.h"

#include <fcntl.h>

#include "store/base/beneath.h"
#include "store/layer_writer.h"
#include "store/upper_root.h"
#include "store/upper_walk.h"

namespace veneer {

Result<StepUpper> MakeStepUpper(IngestSession& session, const tree::MergedTree& chain) {
  TRY_ASSIGN(std::string folder, session.NewFolder("step"));
  // Nobody but the owner gets at the upper: setuid files in it are the image's, not the host's.
  for (const char* name : {"/upper", "/work"})
    TRY(EnsureDir(session.dir_fd(), folder + name, 0700));
  TRY_ASSIGN(UniqueFd upper, OpenAt(session.dir_fd(), folder + "/upper", O_RDONLY | O_DIRECTORY));
  TRY(CopyRootAttributes(chain, upper.get()));
  const std::string path = session.path() + "/" + folder;
  return StepUpper{.upper = path + "/upper", .work = path + "/work"};
}

Result<StagedLayer> StageUpper(IngestSession& session, int upper_fd, const tree::MergedTree& chain,
                               const StepLayerOptions& options) {
  TRY_ASSIGN(auto writer, LayerWriter::Create(
                              session, {.latest_mtime = options.latest_mtime, .own_files = true}));
  TRY(WalkUpper(upper_fd, chain,
                [&](const UpperChange& change) { return writer->Add(change, options.on_bytes); }));
  return writer->Finish();
}

}  // namespace veneer
