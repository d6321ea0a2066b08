// KeptCall: a call of a request handler, with copies of its arguments, to be made later.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

namespace veneer::fs {

// An argument that is to outlive the call: texts and what pointers point to are copied.
template <typename T>
struct Kept {
  explicit Kept(T argument) : value(argument) {}
  T get() { return value; }
  T value;
};
template <>
struct Kept<const char*> {
  explicit Kept(const char* argument) : value(argument) {}
  const char* get() { return value.c_str(); }
  std::string value;
};
template <>
struct Kept<std::string_view> {
  explicit Kept(std::string_view argument) : value(argument) {}
  std::string_view get() { return value; }
  std::string value;
};
template <typename T>
struct Kept<T*> {
  explicit Kept(T* argument) {
    if (argument != nullptr) value = *argument;
  }
  T* get() { return value ? &*value : nullptr; }
  std::optional<T> value;
};

// `Request` is passed on as it is, whatever it points to.
template <auto kOperation, typename Request, typename... Args>
std::function<void()> KeepCall(Request request, Args... args) {
  return [request, kept = std::make_tuple(Kept<Args>(args)...)]() mutable {
    std::apply([&](auto&... each) { kOperation(request, each.get()...); }, kept);
  };
}

}  // namespace veneer::fs
