// A merged tree, by number of layers.
#include <benchmark/benchmark.h>

#include "bench/micro/scratch.h"

namespace veneer::bench {
namespace {

constexpr int64_t kFiles = 5000;

void MergedTreeLookup(benchmark::State& state) {
  Scratch scratch;
  auto tree =
      Must(tree::MergedTree::Open(scratch.fd(), MakeChain(scratch, state.range(0), kFiles)));
  tree::Ino dir = Must(tree->LookupPath("dir")).value();
  std::vector<std::string> names;
  names.reserve(kFiles);
  for (int64_t i = 0; i < kFiles; ++i) names.push_back(FileName(i * 7919 % kFiles));
  size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(Must(tree->Lookup(dir, names[next])));
    next = (next + 1) % names.size();
  }
}
BENCHMARK(MergedTreeLookup)->Arg(1)->Arg(2)->Arg(10)->Arg(100)->Arg(500);

void MergedTreeMissingName(benchmark::State& state) {
  Scratch scratch;
  auto tree =
      Must(tree::MergedTree::Open(scratch.fd(), MakeChain(scratch, state.range(0), kFiles)));
  tree::Ino dir = Must(tree->LookupPath("dir")).value();
  for (auto _ : state) benchmark::DoNotOptimize(Must(tree->Lookup(dir, "no such name")));
}
BENCHMARK(MergedTreeMissingName)->Arg(2)->Arg(500);

void MergedTreeOpen(benchmark::State& state) {
  Scratch scratch;
  std::string name = MakeChain(scratch, 10, state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(Must(tree::MergedTree::Open(scratch.fd(), name)));
}
BENCHMARK(MergedTreeOpen)->Arg(100)->Arg(100'000);

}  // namespace
}  // namespace veneer::bench
