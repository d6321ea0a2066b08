// Result<T>: the one way a Veneer function fails.
//
// An Error is an errno value plus what was being done when it happened. Callers add nothing on the
// way up unless they know something the callee could not; names of files and hints for people join
// where a person reads them (tools/). No exceptions of our own cross a function boundary; thread
// and FUSE entry points turn std::bad_alloc into ENOMEM.
#pragma once

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>
#include <utility>

namespace veneer {

class Error {
 public:
  // `code` is a positive errno value; `context` says what was being done, in a few words.
  Error(int code, std::string context) : code_(code), context_(std::move(context)) {}

  int code() const { return code_; }
  const std::string& context() const { return context_; }

  // "context: No such file or directory"; an error made with Invalid() shows its context alone.
  std::string Message() const {
    if (plain_) return context_;
    return context_ + ": " + std::strerror(code_);
  }

  // The same error with "outer: " before its context.
  Error Within(const std::string& outer) const {
    Error e = *this;
    e.context_ = outer + ": " + context_;
    return e;
  }

  // An error whose context is already a whole sentence; errno text would only distract.
  static Error Invalid(std::string sentence, int code = EINVAL) {
    Error e(code, std::move(sentence));
    e.plain_ = true;
    return e;
  }

 private:
  int code_;
  bool plain_ = false;
  std::string context_;
};

template <typename T = void>
using Result = std::expected<T, Error>;

// The current errno as an error. Call it before anything else can change errno.
inline std::unexpected<Error> Errno(std::string context) {
  int code = errno;
  return std::unexpected(Error(code, std::move(context)));
}
inline std::unexpected<Error> Fail(int code, std::string context) {
  return std::unexpected(Error(code, std::move(context)));
}
inline std::unexpected<Error> Invalid(std::string sentence, int code = EINVAL) {
  return std::unexpected(Error::Invalid(std::move(sentence), code));
}

}  // namespace veneer

#define VENEER_CONCAT_(a, b) a##b
#define VENEER_CONCAT(a, b) VENEER_CONCAT_(a, b)

// TRY(expr): returns the error of a Result<void>; does nothing on success.
#define TRY(expr) VENEER_TRY_(VENEER_CONCAT(veneer_try_, __COUNTER__), expr)
#define VENEER_TRY_(tmp, expr)                                                  \
  do {                                                                          \
    auto&& tmp = (expr);                                                        \
    if (!tmp) return std::unexpected(std::forward<decltype(tmp)>(tmp).error()); \
  } while (0)

// TRY_ASSIGN(auto x, expr): declares or assigns x from a Result<T>, or returns its error.
#define TRY_ASSIGN(lhs, expr) VENEER_TRY_ASSIGN_(VENEER_CONCAT(veneer_try_, __COUNTER__), lhs, expr)
#define VENEER_TRY_ASSIGN_(tmp, lhs, expr)                  \
  auto tmp = (expr);                                        \
  if (!tmp) return std::unexpected(std::move(tmp).error()); \
  lhs = std::move(*tmp)
