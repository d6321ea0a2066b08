#include "tools/context.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace veneer::tools {

Result<Store*> Context::OpenStore() {
  if (!store_) {
    TRY_ASSIGN(store_, Store::Open(root.empty() ? Store::DefaultPath() : root));
  }
  return store_.get();
}

Result<> Context::AsOwner(const std::function<Result<>()>& body) {
  const Result<> outcome = body();
  if (outcome || geteuid() == 0 || !isolate) return outcome;
  if (outcome.error().code() != EACCES && outcome.error().code() != EPERM) return outcome;
  store_.reset();  // the child opens its own
  TRY_ASSIGN(const int status, isolate([&] {
               const Result<> again = body();
               if (!again) Complain(again.error().Message());
               return again ? Finish() : kExitError;
             }));
  Exit(status);
  return {};
}

void Context::Run(CLI::App* command, std::function<Result<>()> body) {
  command->callback([this, body = std::move(body)] {
    auto outcome = body();
    if (outcome) return;
    Complain(outcome.error().Message());
    failed_ = true;
  });
}

void Context::Print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void Context::Complain(const std::string& line) {
  std::string one;
  for (unsigned char c : line) {
    if (c < 0x20 || c == 0x7f) {
      one += fmt::format("\\x{:02x}", c);
    } else {
      one += static_cast<char>(c);
    }
  }
  std::fprintf(stderr, "veneer: %s\n", one.c_str());
}

int Context::Finish() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
    Complain(std::string("cannot write to standard output: ") + std::strerror(errno));
    failed_ = true;
  }
  return failed_ ? kExitError : status_;
}

}  // namespace veneer::tools
