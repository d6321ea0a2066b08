// What the micro-benchmarks share: a folder to work in, and trees made in it. Anything that fails
// ends the program.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/tree/merged_tree.h"

namespace veneer::bench {

[[noreturn]] void Die(const Error& error);

template <typename T>
T Must(Result<T> result) {
  if (!result) Die(result.error());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// A temporary folder, gone with the object.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  int fd() const { return fd_.get(); }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  void MakeDir(std::string_view name) const;
  void WriteFile(std::string_view name, std::string_view content) const;

 private:
  std::string path_;
  UniqueFd fd_;
};

std::string FileName(int64_t number);  // "file000042"

// The merged tree of `layers` layers, in the scratch folder; its name there. Directory "dir" has
// `files` files, spread over the layers, each with the content "content\n".
std::string MakeChain(const Scratch& scratch, int64_t layers, int64_t files);

}  // namespace veneer::bench
