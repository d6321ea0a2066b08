// veneer_bench_worker WORKLOAD ARGUMENT...: does one workload of scripts/bench and prints the
// seconds that it took. The measuring is here, and not in the script, so that the tool costs
// nothing.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bench/worker/worker.h"

namespace veneer::bench {

void Die(const std::string& what) {
  std::fprintf(stderr, "veneer_bench_worker: %s: %s\n", what.c_str(), strerror(errno));
  std::exit(1);
}

uint64_t Number(std::string_view text) {
  std::string digits(text);
  char* end = nullptr;
  uint64_t number = std::strtoull(digits.c_str(), &end, 10);
  switch (*end) {
    case 'G':
      number <<= 10;
      [[fallthrough]];
    case 'M':
      number <<= 10;
      [[fallthrough]];
    case 'K':
      number <<= 10;
      ++end;
  }
  if (end == digits.c_str() || *end != '\0') {
    errno = EINVAL;
    Die(digits);
  }
  return number;
}

namespace {

using Arguments = std::vector<std::string>;
using Workload = std::function<double(const Arguments&)>;

struct Known {
  size_t arguments;  // at least
  Workload run;
};

Arguments From(const Arguments& arguments, size_t first) {
  return Arguments(arguments.begin() + static_cast<ptrdiff_t>(first), arguments.end());
}

const std::map<std::string, Known>& Workloads() {
  static const std::map<std::string, Known> workloads = {
      {"walk", {2, [](auto& a) { return Walk(a[0], Number(a[1])); }}},
      {"read-tree", {1, [](auto& a) { return ReadTree(a[0]); }}},
      {"append-each", {2, [](auto& a) { return AppendEach(a[0], Number(a[1])); }}},
      {"create", {2, [](auto& a) { return Create(a[0], Number(a[1])); }}},
      {"stat", {2, [](auto& a) { return Stat(a[0], Number(a[1])); }}},
      {"unlink", {2, [](auto& a) { return Unlink(a[0], Number(a[1])); }}},
      {"missing", {2, [](auto& a) { return Missing(a[0], Number(a[1])); }}},
      {"missing-again", {2, [](auto& a) { return MissingAgain(a[0], Number(a[1])); }}},
      {"stat-listed", {2, [](auto& a) { return StatListed(a[0], a[1]); }}},
      {"sequential-read", {2, [](auto& a) { return SequentialRead(a[0], Number(a[1])); }}},
      {"random-read", {2, [](auto& a) { return RandomRead(a[0], Number(a[1])); }}},
      {"mapped-read", {1, [](auto& a) { return MappedRead(a[0]); }}},
      {"mapped-random-read", {2, [](auto& a) { return MappedRandomRead(a[0], Number(a[1])); }}},
      {"first-write", {1, [](auto& a) { return FirstWrite(a[0]); }}},
      {"sequential-write", {2, [](auto& a) { return SequentialWrite(a[0], Number(a[1])); }}},
      {"random-write", {2, [](auto& a) { return RandomWrite(a[0], Number(a[1])); }}},
      {"chmod", {1, [](auto& a) { return ChangeMode(a[0]); }}},
      {"run", {1, [](auto& a) { return Run(a); }}},
      {"run-often", {2, [](auto& a) { return RunOften(Number(a[0]), From(a, 1)); }}},
      {"sqlite", {2, [](auto& a) { return SqliteInserts(a[0], Number(a[1])); }}},
      {"lookups-meanwhile",
       {4,
        [](auto& a) {
          LookupsMeanwhile(a[0], a[1], Number(a[2]), a[3], From(a, 4));
          return -1.0;
        }}},
  };
  return workloads;
}

int Main(int argc, char** argv) {
  Arguments arguments(argv + 1, argv + argc);
  auto known = arguments.empty() ? Workloads().end() : Workloads().find(arguments[0]);
  if (known == Workloads().end() || arguments.size() <= known->second.arguments) {
    std::fprintf(stderr, "usage: veneer_bench_worker WORKLOAD ARGUMENT...; WORKLOAD is one of");
    for (const auto& [name, workload] : Workloads()) std::fprintf(stderr, " %s", name.c_str());
    std::fprintf(stderr, "\n");
    return 2;
  }
  double seconds = known->second.run(From(arguments, 1));
  if (seconds >= 0) std::printf("%.9f\n", seconds);
  return 0;
}

}  // namespace
}  // namespace veneer::bench

int main(int argc, char** argv) { return veneer::bench::Main(argc, argv); }
