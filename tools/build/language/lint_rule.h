// The rules of `build --check`: BuildKit's, by name.
#pragma once

#include <string_view>

namespace veneer::build {

struct LintRule {
  std::string_view name;
  // Of its documentation, below docs.docker.com/go/dockerfile/rule/; empty: there is none.
  std::string_view page;
  bool experimental = false;
};

namespace rules {
inline constexpr LintRule kStageNameCasing{"StageNameCasing", "stage-name-casing"};
inline constexpr LintRule kFromAsCasing{"FromAsCasing", "from-as-casing"};
inline constexpr LintRule kNoEmptyContinuation{"NoEmptyContinuation", "no-empty-continuation"};
inline constexpr LintRule kConsistentInstructionCasing{"ConsistentInstructionCasing",
                                                       "consistent-instruction-casing"};
inline constexpr LintRule kDuplicateStageName{"DuplicateStageName", "duplicate-stage-name"};
inline constexpr LintRule kReservedStageName{"ReservedStageName", "reserved-stage-name"};
inline constexpr LintRule kJsonArgsRecommended{"JSONArgsRecommended", "json-args-recommended"};
inline constexpr LintRule kMaintainerDeprecated{"MaintainerDeprecated", "maintainer-deprecated"};
inline constexpr LintRule kUndefinedArgInFrom{"UndefinedArgInFrom", "undefined-arg-in-from"};
inline constexpr LintRule kWorkdirRelativePath{"WorkdirRelativePath", "workdir-relative-path"};
inline constexpr LintRule kUndefinedVar{"UndefinedVar", "undefined-var"};
inline constexpr LintRule kMultipleInstructionsDisallowed{"MultipleInstructionsDisallowed",
                                                          "multiple-instructions-disallowed"};
inline constexpr LintRule kLegacyKeyValueFormat{"LegacyKeyValueFormat", "legacy-key-value-format"};
inline constexpr LintRule kInvalidBaseImagePlatform{"InvalidBaseImagePlatform", ""};
inline constexpr LintRule kRedundantTargetPlatform{"RedundantTargetPlatform",
                                                   "redundant-target-platform"};
inline constexpr LintRule kSecretsUsedInArgOrEnv{"SecretsUsedInArgOrEnv",
                                                 "secrets-used-in-arg-or-env"};
inline constexpr LintRule kInvalidDefaultArgInFrom{"InvalidDefaultArgInFrom",
                                                   "invalid-default-arg-in-from"};
inline constexpr LintRule kFromPlatformFlagConstDisallowed{"FromPlatformFlagConstDisallowed",
                                                           "from-platform-flag-const-disallowed"};
inline constexpr LintRule kCopyIgnoredFile{"CopyIgnoredFile", "copy-ignored-file"};
inline constexpr LintRule kInvalidDefinitionDescription{"InvalidDefinitionDescription",
                                                        "invalid-definition-description", true};
inline constexpr LintRule kExposeProtoCasing{"ExposeProtoCasing", "expose-proto-casing"};
inline constexpr LintRule kExposeInvalidFormat{"ExposeInvalidFormat", "expose-invalid-format"};
}  // namespace rules

}  // namespace veneer::build
