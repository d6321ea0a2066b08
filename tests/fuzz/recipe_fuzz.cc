// Any bytes as a recipe: an error or a replay, never a crash.
#include "store/archive/recipe.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

struct Discard : veneer::ByteSink {
  veneer::Result<> Write(std::string_view) override { return {}; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  veneer::UniqueFd fd = veneer::fuzz::FileOf(data, size);
  if (!fd) return 0;
  auto recipe = veneer::RecipeReader::Open(fd.get());
  if (!recipe) return 0;
  (void)(*recipe)->ForEachObject([](const veneer::ObjectRef&) { return veneer::Result<>(); });
  Discard out;
  (void)(*recipe)->Rebuild(
      [](const veneer::ObjectId&) -> veneer::Result<veneer::UniqueFd> {
        return veneer::Fail(ENOENT, "object");
      },
      out);
  return 0;
}
