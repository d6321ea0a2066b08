// StageRunner: builds one stage: each of its steps from the cache, or made.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "tools/build/build_plan.h"
#include "tools/build/build_session.h"
#include "tools/build/cache/layer_cache.h"
#include "tools/build/cache/step_key.h"
#include "tools/build/run_mounts.h"

namespace veneer::build {

struct StageResult {
  std::vector<DiffId> layers;    // lowest first, those of the base included
  std::vector<int64_t> created;  // of the stage's own layers, those of base stages included
  std::vector<Digest> keys;      // of the records of its steps, likewise
  size_t base_layers = 0;        // how many of `layers` came with an image
};

// An error of a step: what happened, and the lines that asked for it.
using StepOutcome = Located<StageResult>;

// What a stage needs of other stages, and of the build as a whole.
struct StageEnvironment {
  // Waits until the stage is done. ECANCELED: it failed, or the build is being cancelled.
  std::function<Result<StageResult>(size_t stage)> await;
  // Held while a step works: --jobs.
  std::function<void()> begin_work;
  std::function<void()> end_work;
};

class StageRunner {
 public:
  StageRunner(BuildSession& session, LayerCache& cache, StageEnvironment environment)
      : session_(session), cache_(cache), environment_(std::move(environment)) {}

  StepOutcome Run(const PlannedStage& stage);

 private:
  class Working;
  Result<> Begin(const PlannedStage& stage);
  Result<> RunStep(const PlannedStage& stage, const PlannedStep& step);
  Result<> Command(const PlannedStep& step, BuildLog::Vertex vertex);
  Result<> Copy(const PlannedStep& step, BuildLog::Vertex vertex, const CopyInstruction& copy);
  Result<> Add(const PlannedStep& step, BuildLog::Vertex vertex, const AddInstruction& add);
  Result<> MakeWorkdir(const PlannedStep& step, BuildLog::Vertex vertex);

  // The layer of what `spec` copies, on the chain so far.
  Result<> CopyLayer(const PlannedStep& step, BuildLog::Vertex vertex, CopySpec spec);
  // From the cache under `key`, unless there is to be none, or made by `make` on `below`.
  using MakeLayer = std::function<Result<StagedLayer>(IngestSession&)>;
  Result<> Apply(const PlannedStep& step, BuildLog::Vertex vertex, const Digest& key,
                 bool on_nothing, const MakeLayer& make);
  Result<StagedLayer> RunCommand(const PlannedStep& step, BuildLog::Vertex vertex,
                                 RunMounts& mounts, IngestSession& ingest);

  Result<std::vector<DiffId>> LayersOf(const StageSource& source);
  // Of the build context and other directories, with what is at `path` alone.
  Result<MountSource> MountSourceOf(const StageSource& source, const std::string& path);
  Result<std::unique_ptr<SourceTree>> TreeOf(const StageSource& source);
  Result<BaseImage> ImageNamed(const std::string& name);
  std::string Absolute(const PlannedStep& step, const std::string& destination) const;

  BuildSession& session_;
  LayerCache& cache_;
  StageEnvironment environment_;
  StageResult result_;
  bool use_cache_ = true;
};

}  // namespace veneer::build
