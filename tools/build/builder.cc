#include "tools/build/builder.h"

#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "store/base/mutex.h"

namespace veneer::build {
namespace {

// What is known of the stages, by all their threads.
class Board {
 public:
  Board(BuildSession& session, size_t stages, unsigned jobs)
      : session_(session), results_(stages), free_(jobs == 0 ? kUnlimited : jobs) {}

  void Post(size_t stage, StepOutcome outcome) {
    MutexLock lock(mu_);
    if (!outcome) {
      // Those that gave up because of another's error come later, or have no place to show.
      if (!error_ || (error_->places.empty() && !outcome.error().places.empty()))
        error_ = outcome.error();
      session_.Cancel();
    } else {
      results_[stage] = std::move(*outcome);
    }
    changed_.NotifyAll();
  }

  Result<StageResult> Await(size_t stage) {
    MutexLock lock(mu_);
    while (!results_[stage] && !error_) changed_.Wait(mu_);
    if (!results_[stage]) return Fail(ECANCELED, "build");
    return *results_[stage];
  }

  void BeginWork() {
    MutexLock lock(mu_);
    while (free_ == 0) changed_.Wait(mu_);
    --free_;
  }
  void EndWork() {
    MutexLock lock(mu_);
    ++free_;
    changed_.NotifyAll();
  }

  std::optional<DockerfileError> error() {
    MutexLock lock(mu_);
    return error_;
  }
  std::vector<std::optional<StageResult>> results() {
    MutexLock lock(mu_);
    return results_;
  }

 private:
  static constexpr unsigned kUnlimited = 1u << 30;
  BuildSession& session_;
  Mutex mu_;
  CondVar changed_;
  std::vector<std::optional<StageResult>> results_ GUARDED_BY(mu_);
  std::optional<DockerfileError> error_ GUARDED_BY(mu_);
  unsigned free_ GUARDED_BY(mu_);
};

StepOutcome RunStage(BuildSession& session, const PlannedStage& stage, Board& board) {
  try {
    TRY_ASSIGN(LayerCache cache, LayerCache::Open(session.store_root()));
    StageEnvironment environment;
    environment.await = [&](size_t wanted) { return board.Await(wanted); };
    environment.begin_work = [&] { board.BeginWork(); };
    environment.end_work = [&] { board.EndWork(); };
    return StageRunner(session, cache, std::move(environment)).Run(stage);
  } catch (const std::bad_alloc&) {
    return std::unexpected(DockerfileError(Error(ENOMEM, "build")));
  }
}

}  // namespace

Located<BuiltStages> BuildStages(BuildSession& session, const BuildPlan& plan, unsigned jobs) {
  Board board(session, plan.stages.size(), jobs);
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < plan.stages.size(); ++i) {
      if (!plan.stages[i].needed) continue;
      threads.emplace_back([&, i] { board.Post(i, RunStage(session, plan.stages[i], board)); });
    }
  }
  if (const auto error = board.error()) return std::unexpected(*error);
  BuiltStages built;
  const std::vector<std::optional<StageResult>> results = board.results();
  for (const auto& result : results) {
    if (result)
      built.all_keys.insert(built.all_keys.end(), result->keys.begin(), result->keys.end());
  }
  built.target = *results[plan.target];
  return built;
}

}  // namespace veneer::build
