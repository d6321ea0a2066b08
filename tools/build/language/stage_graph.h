// The stages of a Dockerfile and what each needs: its base, and what it copies and mounts from.
//
// Creating the graph expands FROM lines with the global ARGs, finds stages by name and index, adds
// the ONBUILD triggers of bases, and marks what the target needs. Immutable from then on.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/base/digest.h"
#include "tools/build/language/error.h"
#include "tools/build/language/instruction.h"
#include "tools/build/language/platform.h"
#include "tools/build/language/variables.h"

namespace veneer::build {

// What a base image's config says that matters before anything runs.
struct BaseImage {
  std::string config;            // the whole of it, JSON
  std::vector<DiffId> layers;    // lowest first
  std::vector<std::string> env;  // NAME=value
  std::string working_dir;
  std::vector<std::string> shell;
  std::vector<std::string> on_build;
};

struct BuildOptions {
  std::string target;  // empty: the last stage
  std::map<std::string, std::string> build_args;
  std::optional<Platform> platform;  // of the image; nothing: the host's
  std::map<std::string, std::string> labels;
  std::set<std::string> contexts;  // names of --build-context
  // The image of a canonical name, if it is known; may be null.
  std::function<std::optional<BaseImage>(const std::string& name)> base_image;
  // The image that a named context is; nothing where it is a directory. May be null.
  std::function<std::optional<BaseImage>(const std::string& context)> context_image;
};

// Where files come from.
struct StageSource {
  enum class Kind {
    kBuildContext,
    kStage,
    kNamedContext,
    kImage,
    kScratch,
  };
  Kind kind = Kind::kBuildContext;
  size_t stage = 0;  // kStage
  std::string name;  // as it stands
};

struct StageStep {
  Instruction instruction;
  // COPY --from: one. RUN: one per --mount. Else none.
  std::vector<StageSource> sources;
  bool on_build = false;  // a trigger of the base
};

struct StageNode {
  Stage stage;                     // but for its instructions, which are `steps`
  std::string title;               // its name, or stage-N
  StageSource base;                // never the build context
  std::optional<BaseImage> image;  // the config of a base that is an image we know
  std::optional<Platform> platform;
  std::vector<StageStep> steps;
  bool needed = false;  // by the target
};

class StageGraph {
 public:
  // Errors are BuildKit's: `target stage "x" could not be found`, "circular dependency detected on
  // stage: x", "invalid stage index 5", "base name ($x) should not be blank", … and more than 1000
  // stages.
  static Located<StageGraph> Create(Dockerfile file, char escape, const BuildOptions& options,
                                    Linter& linter);

  const std::vector<StageNode>& stages() const { return stages_; }
  size_t target() const { return target_; }
  const Variables& global_args() const { return global_args_; }

 private:
  friend class StageGraphBuilder;
  std::vector<StageNode> stages_;
  size_t target_ = 0;
  Variables global_args_;
};

}  // namespace veneer::build
