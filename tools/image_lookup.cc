#include "tools/image_lookup.h"

#include "store/image_reference.h"

namespace veneer::tools {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

}  // namespace

Result<ResolvedImage> ResolveImage(Store& store, const std::string& text) {
  Catalog& catalog = store.catalog();
  bool names_id = text.starts_with("sha256:");
  if (!names_id) {
    auto reference = ImageReference::Parse(text);
    if (reference) {
      TRY_ASSIGN(auto found, catalog.FindReference(reference->Canonical()));
      if (found) return ResolvedImage{*found, reference->Canonical()};
    } else if (text.size() != 2 * Digest::kSize) {
      return std::unexpected(reference.error());
    }
  }
  std::string prefix = names_id ? text.substr(7) : text;
  if (!prefix.empty() && prefix.size() <= 2 * Digest::kSize &&
      prefix.find_first_not_of(kHexDigits) == prefix.npos) {
    TRY_ASSIGN(auto ids, catalog.ImagesByPrefix(prefix));
    if (ids.size() == 1) return ResolvedImage{ids.front(), ""};
    if (ids.size() > 1)
      return Invalid("'" + text + "' is the beginning of several image IDs; give more of it");
  }
  return Invalid("No such image: " + text, ENOENT);
}

bool IsNameOnly(const std::string& text) {
  return text.find_first_of(":@", text.rfind('/') + 1) == text.npos;
}

Result<ImageFacts> DescribeImage(Store& store, const ImageId& id) {
  ImageFacts facts;
  facts.id = id;
  TRY_ASSIGN(auto row, store.catalog().FindImage(id));
  if (!row) return Invalid("No such image: " + id.ToString(), ENOENT);
  TRY_ASSIGN(facts.config, ImageConfig::Parse(row->config));
  TRY_ASSIGN(facts.references, store.catalog().ReferencesTo(id));
  for (const DiffId& diff_id : facts.config.diff_ids) {
    TRY_ASSIGN(auto layer, store.catalog().FindLayer(diff_id));
    if (!layer)
      return Invalid("layer " + diff_id.ToString() + " is missing; run 'veneer system check'",
                     EBADMSG);
    facts.size += layer->content_size;
    facts.layers.push_back(*layer);
  }
  return facts;
}

}  // namespace veneer::tools
