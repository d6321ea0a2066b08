#include "tools/build/cache/step_key.h"

#include "store/base/bytes.h"

namespace veneer::build {

StepKey& StepKey::Add(std::string_view field) {
  AddNumber(static_cast<int64_t>(field.size()));
  hash_.Update(field);
  return *this;
}

StepKey& StepKey::Add(std::span<const std::string> fields) {
  AddNumber(static_cast<int64_t>(fields.size()));
  for (const std::string& field : fields) Add(field);
  return *this;
}

StepKey& StepKey::AddNumber(int64_t number) {
  char bytes[sizeof number];
  StoreLE(bytes, static_cast<uint64_t>(number));
  hash_.Update({bytes, sizeof bytes});
  return *this;
}

StepKey& StepKey::AddOptional(const std::optional<int64_t>& number) {
  AddNumber(number ? 1 : 0);
  return AddNumber(number.value_or(0));
}

StepKey& StepKey::AddChain(std::span<const DiffId> layers) {
  return Add(layers.empty() ? std::string_view() : ChainIdOf(layers).digest.view());
}

}  // namespace veneer::build
