// A Dockerfile, read and expanded: the stages that are needed, the steps of each that make layers,
// and the image config that each ends with. Everything that can be known before something runs.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/build/image_draft.h"
#include "tools/build/language/error.h"
#include "tools/build/language/instruction.h"
#include "tools/build/language/linter.h"
#include "tools/build/language/run_command.h"
#include "tools/build/language/stage_graph.h"

namespace veneer::build {

// A step that makes a layer: RUN, COPY, ADD, or WORKDIR.
struct PlannedStep {
  Instruction instruction;           // expanded
  std::vector<StageSource> sources;  // as in StageStep
  std::string title;                 // "[build 2/5] RUN make"
  // What it sees:
  std::vector<std::string> env;  // NAME=value, ARGs included
  std::string working_dir;       // absolute
  std::string user;
  std::optional<RunCommand> run;  // of RUN
};

struct PlannedStage {
  std::string name;   // or stage-N
  std::string title;  // of its FROM, if that is an image: "[build 1/5] FROM …"
  StageSource base;
  std::optional<BaseImage> image;  // a base that is one
  std::optional<Platform> platform;
  Lines lines;  // of FROM
  std::vector<PlannedStep> steps;
  ImageDraft draft = ImageDraft::Scratch({});  // at its end
  bool needed = false;
};

struct BuildPlan {
  std::vector<PlannedStage> stages;
  size_t target = 0;
};

// Reads `text` and plans the stages that the target needs, or `every_stage`. `ignore_text` is the
// ignore file of the context. `linter` hears of what is better avoided; its verdict is one of the
// errors.
Located<BuildPlan> PlanBuild(std::string_view text, std::string_view ignore_text,
                             const BuildOptions& options, bool every_stage, Linter& linter);

}  // namespace veneer::build
