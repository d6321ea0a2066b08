// veneer_differential: random operations on a mount and on a plain copy of the same tree; README.md
// beside this file says how to use it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>

#include "store/base/beneath.h"
#include "tests/differential/differences.h"
#include "tests/differential/generator.h"
#include "tests/differential/session.h"
#include "tests/differential/shrink.h"

namespace veneer::differential {

namespace {

using Clock = std::chrono::steady_clock;

volatile sig_atomic_t interrupted = 0;

struct Settings {
  std::string kind;  // stack, chain, both; empty: both, or a script's own
  std::string mount_options;
  std::string program = VENEER_BIN "/veneerfs";
  std::string dir = "/tmp";
  std::string out = ".";
  std::vector<std::string> replay;
  uint64_t seed = 1;
  uint64_t runs = 0;
  uint64_t ops = 20000;
  unsigned seconds = 0;
  unsigned shrink_seconds = 300;
  Generator::Pace pace;
  int cpu = -1;
  bool no_drop = false;
  bool table = false;
  bool trace = false;
};

// What makes a script reproducible, in the comments at its head.
struct Recipe {
  LowerKind kind = LowerKind::kStack;
  uint64_t tree = 0;
  std::string mount_options;
};

std::string_view NameOf(LowerKind kind) { return kind == LowerKind::kStack ? "stack" : "chain"; }

Result<> Save(const std::string& path, const Recipe& recipe, const Script& script,
              const Failure& failure) {
  std::ofstream file(path);
  file << fmt::format("# {}\n#! kind={} tree={} options={}\n", failure.what, NameOf(recipe.kind),
                      recipe.tree, recipe.mount_options);
  for (const Op& op : script) file << ToText(op) << '\n';
  if (!file.flush()) return Fail(EIO, path);
  return {};
}

Result<std::pair<Recipe, Script>> Load(const std::string& path) {
  std::ifstream file(path);
  if (!file) return Fail(ENOENT, path);
  std::pair<Recipe, Script> loaded;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#!")) {
      std::istringstream words(line.substr(2));
      for (std::string word; words >> word;) {
        std::string value = word.substr(word.find('=') + 1);
        if (word.starts_with("kind=") && value == "chain") loaded.first.kind = LowerKind::kChain;
        if (word.starts_with("tree=")) loaded.first.tree = std::stoull(value);
        if (word.starts_with("options=")) loaded.first.mount_options = value;
      }
    }
    if (line.empty() || line[0] == '#') continue;
    auto op = FromText(line);
    if (!op) return Invalid(path + ": not an operation: " + line);
    loaded.second.push_back(*op);
  }
  return loaded;
}

class Program {
 public:
  explicit Program(Settings settings) : settings_(std::move(settings)) {}
  ~Program() {
    lowers_.clear();
    if (!base_.empty() && !RemoveTree(AT_FDCWD, base_)) {
      fmt::print(stderr, "{} is left behind\n", base_);
    }
  }

  int Run() {
    // Absolute: the workers and the daemon have working directories of their own.
    base_ = std::filesystem::absolute(settings_.dir).string() + "/veneer-differential-XXXXXX";
    if (mkdtemp(base_.data()) == nullptr || chmod(base_.c_str(), 0755) != 0) {
      perror(base_.c_str());
      base_.clear();
      return 2;
    }
    int failed = settings_.replay.empty() ? RunSeeds() : Replay();
    for (const auto& [which, lower] : lowers_) {
      if (!lower) continue;
      auto unchanged = lower->CheckUnchanged(true);
      if (!unchanged) fmt::print("{}: {}\n", NameOf(which.first), unchanged.error().Message());
      if (!unchanged && failed == 0) failed = 1;
    }
    return failed;
  }

 private:
  Result<std::unique_ptr<Session>> NewSession(const Recipe& recipe) {
    auto& lower = lowers_[{recipe.kind, recipe.tree}];
    if (!lower) {
      std::string dir = fmt::format("{}/{}{}", base_, NameOf(recipe.kind), recipe.tree);
      TRY_ASSIGN(LowerTree made, LowerTree::Make(dir, recipe.kind, recipe.tree));
      lower = std::make_unique<LowerTree>(std::move(made));
    }
    SessionOptions options = {.mount_options = recipe.mount_options,
                              .program = settings_.program,
                              .drop_caches = !settings_.no_drop,
                              .trace = settings_.trace};
    return Session::Start(*lower, fmt::format("{}/s{}", base_, ++sessions_), options);
  }

  // Runs a script to its end; what failed, if anything did.
  std::optional<Failure> RunScript(const Recipe& recipe, const Script& script) {
    auto session = NewSession(recipe);
    if (!session) return Failure{"setup: " + session.error().Message()};
    for (const Op& op : script) {
      if (auto failure = (*session)->Step(op)) return failure;
    }
    return (*session)->Finish();
  }

  bool Wanted(LowerKind kind) const {
    return settings_.kind.empty() || settings_.kind == "both" || settings_.kind == NameOf(kind);
  }

  int Replay() {
    int failed = 0;
    for (const std::string& path : settings_.replay) {
      auto loaded = Load(path);
      if (!loaded) {
        fmt::print(stderr, "{}\n", loaded.error().Message());
        return 2;
      }
      auto& [recipe, script] = *loaded;
      if (!settings_.mount_options.empty()) recipe.mount_options = settings_.mount_options;
      LowerKind own = recipe.kind;
      for (LowerKind kind : {LowerKind::kStack, LowerKind::kChain}) {
        if (settings_.kind.empty() ? kind != own : !Wanted(kind)) continue;
        recipe.kind = kind;
        auto failure = RunScript(recipe, script);
        fmt::print("{}, {}: {}\n", path, NameOf(kind), failure ? failure->what : "no difference");
        if (failure) failed = 1;
      }
    }
    return failed;
  }

  int RunSeeds() {
    auto end = settings_.seconds == 0 ? Clock::time_point::max()
                                      : Clock::now() + std::chrono::seconds(settings_.seconds);
    uint64_t runs =
        settings_.runs == 0 ? (settings_.seconds == 0 ? 1 : UINT64_MAX) : settings_.runs;
    int failed = 0;
    auto start = Clock::now();
    for (uint64_t i = 0; i < runs && Clock::now() < end && failed == 0 && interrupted == 0; ++i) {
      for (LowerKind kind : {LowerKind::kStack, LowerKind::kChain}) {
        if (!Wanted(kind)) continue;
        if (Clock::now() < end && failed == 0) failed = RunSeed(kind, settings_.seed + i, end);
      }
    }
    double took = std::chrono::duration<double>(Clock::now() - start).count();
    if (settings_.table) fmt::print("{}", coverage_.Table());
    fmt::print("kind={} options={} seeds from {}: {} operations, {} % succeeded, {:.0f}/s: {}\n",
               settings_.kind.empty() ? "both" : settings_.kind, settings_.mount_options,
               settings_.seed, coverage_.total(),
               coverage_.succeeded() * 100 / std::max<uint64_t>(coverage_.total(), 1),
               static_cast<double>(coverage_.total()) / took, failed == 0 ? "clean" : "FAILED");
    constexpr uint64_t kEnoughToJudge = 2000;
    if (failed == 0 && coverage_.total() > kEnoughToJudge &&
        coverage_.succeeded() * 100 < coverage_.total() * 60) {
      fmt::print("fewer than 60 % succeeded\n");
      return 1;
    }
    return failed;
  }

  int RunSeed(LowerKind kind, uint64_t seed, Clock::time_point end) {
    Recipe recipe = {.kind = kind, .tree = seed % 6, .mount_options = settings_.mount_options};
    Script script;
    std::optional<Failure> failure;
    {
      auto session = NewSession(recipe);
      if (!session) {
        fmt::print(stderr, "{}\n", session.error().Message());
        return 2;
      }
      Generator generator(seed, (*session)->model(), settings_.pace);
      while (!failure && script.size() < settings_.ops &&
             (script.size() % 64 != 0 || Clock::now() < end) && interrupted == 0) {
        script.push_back(generator.Next());
        failure = (*session)->Step(script.back());
      }
      if (!failure) failure = (*session)->Finish();
      coverage_.Add((*session)->coverage());
    }
    if (!failure) return 0;
    fmt::print("seed {} kind {} after {} operations: {}\n  {}\n", seed, NameOf(kind), script.size(),
               failure->what, ToText(script.back()));
    std::string name = fmt::format("{}/{}-{}.script", settings_.out, NameOf(kind), seed);
    auto saved = Save(name, recipe, script, *failure);
    if (!saved) fmt::print(stderr, "{}\n", saved.error().Message());
    ShrinkAndSave(recipe, script, *failure, name);
    return 1;
  }

  void ShrinkAndSave(const Recipe& recipe, const Script& script, const Failure& failure,
                     const std::string& name) {
    if (settings_.shrink_seconds == 0) return;
    auto end = Clock::now() + std::chrono::seconds(settings_.shrink_seconds);
    Failure last = failure;
    auto fails = [&](const Script& part) {
      auto found = RunScript(recipe, part);
      bool same = found && found->Kind() == failure.Kind();
      if (same) last = *found;
      return same;
    };
    if (!fails(script)) {
      fmt::print("replayed, it does not fail this way again: {}\n", name);
      return;
    }
    auto more = [&] { return Clock::now() < end && interrupted == 0; };
    Script shrunk = Shrink(script, fails, more);
    std::string path = name.substr(0, name.size() - 7) + ".min.script";
    auto saved = Save(path, recipe, shrunk, last);
    if (!saved) fmt::print(stderr, "{}\n", saved.error().Message());
    fmt::print("shrunk to {} operations, {}: {}\n", shrunk.size(), path, last.what);
    for (const Op& op : shrunk) fmt::print("  {}\n", ToText(op));
  }

  const Settings settings_;
  std::string base_;
  std::map<std::pair<LowerKind, uint64_t>, std::unique_ptr<LowerTree>> lowers_;
  uint64_t sessions_ = 0;
  Coverage coverage_;
};

int Main(int argc, char** argv) {
  CLI::App app("Compares a mount with a plain directory, under random operations.");
  Settings settings;
  app.add_option("--kind", settings.kind, "lower: stack, chain or both (for a script: its own)")
      ->check(CLI::IsMember({"stack", "chain", "both"}));
  app.add_option("--mount-options", settings.mount_options, "further options of the mount");
  app.add_option("--seed", settings.seed, "of the first run");
  app.add_option("--runs", settings.runs, "runs per kind, each with the next seed");
  app.add_option("--ops", settings.ops, "operations of one run");
  app.add_option("--seconds", settings.seconds, "begins runs until this long has passed");
  app.add_option("--check-every", settings.pace.check, "whole trees are compared about this often");
  app.add_option("--remount-every", settings.pace.remount, "the same for remounts");
  app.add_option("--drop-every", settings.pace.drop, "the same for dropping the mount's caches");
  app.add_option("--drop-host-every", settings.pace.drop_host, "the same for drop_caches");
  app.add_flag("--no-drop", settings.no_drop, "leaves the host's caches alone");
  app.add_option("--shrink-seconds", settings.shrink_seconds, "0: a failure is not shrunk");
  app.add_option("--replay", settings.replay, "runs these scripts instead");
  app.add_option("--dir", settings.dir, "where the trees are made, on ext4");
  app.add_option("--out", settings.out, "where scripts of failures go");
  app.add_option("--cpu", settings.cpu,
                 "keeps all processes on this processor: more operations, fewer races");
  app.add_option("--veneerfs", settings.program, "the daemon");
  app.add_flag("--table", settings.table, "prints what was covered, operation by file state");
  app.add_flag("--trace", settings.trace, "prints every operation");
  std::string footer = "Allowed differences:\n";
  for (std::string_view each : kDifferences) footer += fmt::format("  {}\n", each);
  app.footer(footer);
  CLI11_PARSE(app, argc, argv);
  // Mounts are taken away however it ends.
  for (int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, [](int) { interrupted = 1; });
  if (settings.cpu >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<size_t>(settings.cpu), &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) perror("--cpu");
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  return Program(std::move(settings)).Run();
}

}  // namespace

}  // namespace veneer::differential

int main(int argc, char** argv) { return veneer::differential::Main(argc, argv); }
