// The engine in process: what a request costs without the kernel's part.
#include <benchmark/benchmark.h>
#include <fcntl.h>

#include "bench/micro/scratch.h"
#include "fs/open_overlay.h"
#include "fs/options.h"

namespace veneer::bench {
namespace {

constexpr int64_t kFiles = 5000;

// A mount's engine over a store chain, or over a stack of directories with the same files.
class Engine {
 public:
  enum Kind { kChain, kStack };
  Engine(Kind kind, int64_t layers, std::string_view content = "content\n") {
    for (const char* name : {"upper", "work"}) scratch_.MakeDir(name);
    fs::Options options;
    options.upperdir = scratch_ / "upper";
    options.workdir = scratch_ / "work";
    if (kind == kChain) {
      options.chain = scratch_ / MakeChain(scratch_, layers, kFiles);
      options.objects = scratch_ / "objects";
    } else {
      for (int64_t layer = 0; layer < layers; ++layer) {
        std::string folder = std::to_string(layer) + "/dir/";
        scratch_.MakeDir(folder);
        for (int64_t i = layer; i < kFiles; i += layers)
          scratch_.WriteFile(folder + FileName(i), content);
        options.lowerdirs.push_back(scratch_ / std::to_string(layer));
      }
    }
    overlay_ = Must(fs::OpenOverlay(options));
    dir_ = Must(overlay_->Lookup(fs::NodeId::kRoot, "dir")).node;
  }
  fs::Overlay& overlay() { return *overlay_; }
  fs::NodeId dir() const { return dir_; }

 private:
  Scratch scratch_;
  std::unique_ptr<fs::Overlay> overlay_;
  fs::NodeId dir_{};
};

// Each name is forgotten at once: the next lookup starts from nothing.
void EngineLookup(benchmark::State& state) {
  Engine engine(static_cast<Engine::Kind>(state.range(0)), state.range(1));
  int64_t next = 0;
  for (auto _ : state) {
    fs::Entry entry = Must(engine.overlay().Lookup(engine.dir(), FileName(next * 7919 % kFiles)));
    engine.overlay().Forget(entry.node, 1);
    ++next;
  }
}
BENCHMARK(EngineLookup)->ArgNames({"stack", "layers"})->ArgsProduct({{0, 1}, {2, 10, 100}});

void EngineMissingName(benchmark::State& state) {
  Engine engine(static_cast<Engine::Kind>(state.range(0)), state.range(1));
  for (auto _ : state)
    benchmark::DoNotOptimize(engine.overlay().Lookup(engine.dir(), "no such name"));
}
BENCHMARK(EngineMissingName)->ArgNames({"stack", "layers"})->ArgsProduct({{0, 1}, {2, 10, 100}});

void EngineGetAttr(benchmark::State& state) {
  Engine engine(static_cast<Engine::Kind>(state.range(0)), 10);
  fs::Entry entry = Must(engine.overlay().Lookup(engine.dir(), FileName(42)));
  for (auto _ : state) benchmark::DoNotOptimize(Must(engine.overlay().GetAttr(entry.node)));
}
BENCHMARK(EngineGetAttr)->ArgName("stack")->Arg(0)->Arg(1);

void EngineListDirectory(benchmark::State& state) {
  Engine engine(static_cast<Engine::Kind>(state.range(0)), 10);
  for (auto _ : state) {
    Must(engine.overlay().ReadDir(engine.dir(), 0,
                                  [](const fs::DirItem&, uint64_t) { return true; }));
  }
  state.SetItemsProcessed(state.iterations() * kFiles);
}
BENCHMARK(EngineListDirectory)->ArgName("stack")->Arg(0)->Arg(1);

// Each iteration takes a file that was not copied up yet.
void EngineCopyUp(benchmark::State& state) {
  Engine engine(Engine::kStack, 2, std::string(static_cast<size_t>(state.range(0)), 'x'));
  int64_t next = 0;
  for (auto _ : state) {
    fs::Entry entry = Must(engine.overlay().Lookup(engine.dir(), FileName(next++)));
    engine.overlay().Release(Must(engine.overlay().Open(entry.node, O_WRONLY)));
    engine.overlay().Forget(entry.node, 1);
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(EngineCopyUp)->ArgName("bytes")->Arg(0)->Arg(4096)->Arg(65536)->Iterations(1000);

}  // namespace
}  // namespace veneer::bench
