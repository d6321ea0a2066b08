// Any bytes as a layer, compressed or not: an error or entries, never a crash.
#include "store/archive/compression.h"
#include "store/archive/layer_tar.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

struct Ignore : veneer::LayerTarVisitor {
  veneer::Result<> OnEntry(const veneer::TarEntry&) override { return {}; }
  veneer::Result<> OnContent(uint64_t, std::string_view) override { return {}; }
  veneer::Result<> OnEntryEnd() override { return {}; }
  veneer::Result<> OnLiteral(std::string_view) override { return {}; }
  veneer::Result<> OnPayload(const std::vector<veneer::PayloadExtent>&) override { return {}; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  veneer::fuzz::Input input(data, size);
  auto plain = veneer::Decompressor::Create(input);
  if (!plain) return 0;
  Ignore visitor;
  (void)veneer::ReadLayerTar(**plain, visitor);
  return 0;
}
