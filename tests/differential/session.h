// Session: one run over a lower: a plain copy and a mount, the workers of both, the model, and what
// is compared. Operations come one at a time, from a generator or from a script.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "store/base/result.h"
#include "tests/differential/compare.h"
#include "tests/differential/coverage.h"
#include "tests/differential/listings.h"
#include "tests/differential/model.h"
#include "tests/differential/op.h"
#include "tests/differential/subject.h"
#include "tests/differential/worker.h"

namespace veneer::differential {

struct SessionOptions {
  std::string mount_options;
  std::string program;  // veneerfs
  bool drop_caches = true;
  bool trace = false;  // prints each operation, its result and the inode it was on
};

// A difference between the sides, or a call that nobody answered.
struct Failure {
  std::string what;
  // The kind of failure: the same for runs that fail the same way.
  std::string Kind() const { return what.substr(0, what.find(':')); }
};

class Session {
 public:
  // `dir` is made, and removed in the end. The lower must outlive the session.
  static Result<std::unique_ptr<Session>> Start(const LowerTree& lower, const std::string& dir,
                                                const SessionOptions& options);
  ~Session();

  const Model& model() const { return model_; }
  const Coverage& coverage() const { return coverage_; }

  // Does one operation on both sides. After a failure the session is over.
  std::optional<Failure> Step(const Op& op);
  // Compares, remounts, compares again, unmounts, and looks at the lower.
  std::optional<Failure> Finish();

 private:
  Session(const LowerTree& lower, std::string dir, const SessionOptions& options);
  std::optional<Failure> StepOnWorkers(const Op& op);
  std::optional<Failure> Remount();
  std::optional<Failure> Drop(const Op& op);
  void Follow(const Op& op, const Model::Applied& applied, const Reply& plain);

  const LowerTree& lower_;
  const std::string dir_;
  const SessionOptions options_;
  std::unique_ptr<MountSubject> mount_;
  std::optional<Crew> crew_;
  Model model_;
  Listings listings_;
  Coverage coverage_;
  Comparison comparison_;
};

}  // namespace veneer::differential
