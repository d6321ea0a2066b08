// What BuildKit checks and warns of in a file as a whole, and between its stages.
#pragma once

#include "tools/build/language/error.h"
#include "tools/build/language/instruction.h"
#include "tools/build/language/linter.h"
#include "tools/build/language/stage_graph.h"

namespace veneer::build {

// Names that are reserved, or given twice.
void CheckStageNames(const Dockerfile& file, Linter& linter);

// All keywords in the case that most of them have; upper case where it is a draw. Global ARGs do
// not count.
void CheckCasing(const Dockerfile& file, Linter& linter);

// Stages that `step`, expanded, of stage `index` copies or mounts from come before it.
Located<> CheckSources(const StageGraph& graph, size_t index, const StageStep& step);

}  // namespace veneer::build
