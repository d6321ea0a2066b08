// What the benchmark's worker does between two looks at the clock. Each function does one workload
// and returns the seconds that its measured part took; what has to be there first is made, or
// looked up, before the clock starts. Anything that fails ends the program with one line: a
// measurement of half the work is worth nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace veneer::bench {

[[noreturn]] void Die(const std::string& what);  // with errno's text, exit status 1

class Stopwatch {
 public:
  double Seconds() const { return std::chrono::duration<double>(Clock::now() - started_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point started_ = Clock::now();
};

uint64_t Number(std::string_view text);  // "4096", "64K", "3M", "1G"

// Small, quick, and the same on every run.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint64_t Below(uint64_t limit) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % limit;
  }

 private:
  uint64_t state_;
};

// --- trees.cc: all of a tree
// Lists every directory and looks at every name in it, in `processes` processes at once that each
// see everything.
double Walk(const std::string& root, uint64_t processes);
// The same, and reads every regular file to its end.
double ReadTree(const std::string& root);
// Appends one byte to each of the first `count` regular files of a tree.
double AppendEach(const std::string& root, uint64_t count);

// --- names.cc: `count` names in one directory
double Create(const std::string& dir, uint64_t count);
double Stat(const std::string& dir, uint64_t count);  // those that Create() made; warm
double Unlink(const std::string& dir, uint64_t count);
double Missing(const std::string& dir,
               uint64_t count);  // names that do not exist, each asked for once
double MissingAgain(const std::string& dir, uint64_t count);  // and asked for again
// The names of a file, one a line, in a shuffled order.
double StatListed(const std::string& dir, const std::string& list);

// --- data.cc: one file
double SequentialRead(const std::string& file, uint64_t block);
double RandomRead(const std::string& file, uint64_t count);
double MappedRead(const std::string& file);
double MappedRandomRead(const std::string& file, uint64_t count);
// From open to close, of one byte; then waits for what of the file is still to be copied up.
double FirstWrite(const std::string& file);
double SequentialWrite(const std::string& file, uint64_t size);
double RandomWrite(const std::string& file, uint64_t count);
double ChangeMode(const std::string& file);

// --- programs.cc
double Run(const std::vector<std::string>& command);  // once, to its end
double RunOften(uint64_t count, const std::vector<std::string>& command);
double SqliteInserts(const std::string& file, uint64_t count);  // each durable by itself

// --- latency.cc
// Looks names up in `root`/`dir` that nobody asked for before, each `pause` microseconds after the
// one before, while `command` runs, or, without one, while `root`/`file` is copied up to its end.
// Prints percentiles as JSON.
void LookupsMeanwhile(const std::string& root, const std::string& dir, uint64_t pause,
                      const std::string& file, const std::vector<std::string>& command);

}  // namespace veneer::bench
