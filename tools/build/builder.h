// Builds the stages of a plan: each in a thread of its own, as soon as what it needs is there.
#pragma once

#include <string>

#include "tools/build/build_plan.h"
#include "tools/build/build_session.h"
#include "tools/build/stage_runner.h"

namespace veneer::build {

struct BuiltStages {
  StageResult target;
  std::vector<Digest> all_keys;  // of every stage that was built
};

// Builds what the plan's target needs; at most `jobs` steps at a time (0: as many as there are).
// The first error ends all stages. ECANCELED without places: the build was interrupted.
Located<BuiltStages> BuildStages(BuildSession& session, const BuildPlan& plan, unsigned jobs);

}  // namespace veneer::build
