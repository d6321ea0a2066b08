// ContentSpool: contents that came out of an archive, until the layer has them.
//
// Small ones share one file, so that an archive of many files costs few; each of the others has a
// file of its own, holes kept. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "tools/build/copy/copy_plan.h"

namespace veneer::build {

class ContentSpool : public PlanContents {
 public:
  // Makes its files in `folder`, whose owner removes them; one spool per folder at a time.
  static Result<ContentSpool> Create(const std::string& folder);

  // One content at a time: Begin, which gives its number, then Write with increasing offsets; what
  // is left out is zeros. Begin and Open end the one before.
  Result<size_t> Begin(uint64_t size);
  Result<> Write(uint64_t offset, std::string_view data);

  Result<UniqueFd> Open(size_t number) override;
  Result<> Verify(size_t, int) override { return {}; }

 private:
  struct Content {
    uint64_t size = 0;
    uint64_t at = 0;  // in the shared file
    bool alone = false;
  };

  explicit ContentSpool(UniqueFd folder) : folder_(std::move(folder)) {}
  static std::string NameOf(size_t number) { return "content-" + std::to_string(number); }
  Result<> End();

  UniqueFd folder_;
  UniqueFd shared_;
  uint64_t shared_end_ = 0;
  UniqueFd current_;   // of the content that is being written, if it is alone
  std::string small_;  // else
  bool writing_small_ = false;
  std::vector<Content> contents_;
};

}  // namespace veneer::build
