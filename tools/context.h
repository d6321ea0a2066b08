// Context: what every command shares: the store, opened when first needed, and how errors and
// output leave the program.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "store/base/result.h"
#include "store/store.h"

namespace veneer::tools {

inline constexpr int kExitError = 1;
inline constexpr int kExitUsage = 125;  // as Docker

class Context {
 public:
  std::string root;  // --root; empty: the default

  // The store, opened on the first call.
  Result<Store*> OpenStore();

  // Runs a body in namespaces where an ordinary user owns what his builds made, as far as there
  // are any; its exit status. Set by the program (tools/build/isolation.h).
  std::function<Result<int>(const std::function<int()>& body)> isolate;
  // Runs `body`; where an ordinary user may not do what it does, again in such namespaces: files of
  // a build that was killed may belong to the user's subordinate ids.
  Result<> AsOwner(const std::function<Result<>()>& body);

  // Registers what a command does: run after the command line was read; its error becomes the
  // program's.
  void Run(CLI::App* command, std::function<Result<>()> body);

  // Writes to standard output; a failure (a full disk behind a pipe) is the program's error in the
  // end.
  void Print(std::string_view text);
  // One line on standard error, "veneer: …": control bytes of names and the like come as \xNN.
  static void Complain(const std::string& line);

  // The program's exit status will tell of a failure that has had its say.
  void Fail() { failed_ = true; }
  // It will be `status`, unless that is 0: of a program that this one ran.
  void Exit(int status) { status_ = status; }

  // The exit status, once the command has run: 0 or kExitError.
  int Finish();

 private:
  std::unique_ptr<Store> store_;
  bool failed_ = false;
  int status_ = 0;
};

// A mistake in the command line that CLI11 cannot know of, thrown by the body of a command: exit
// status 125, told like CLI11's own.
class UsageError : public CLI::Error {
 public:
  explicit UsageError(const std::string& text) : CLI::Error("UsageError", text, kExitUsage) {}
};

}  // namespace veneer::tools
