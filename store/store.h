// Store: one store root, opened; the parts of it, and what they share.
//
// Opening creates what is missing. Several processes may have one root open. Not thread-safe except
// where a part says so. Layout and crash rules: docs/store-layout.md.
#pragma once

#include <memory>
#include <string>

#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/catalog.h"
#include "store/layer_store.h"
#include "store/object_store.h"

namespace veneer {

class Store {
 public:
  // Opens or creates the store at `path`. EXDEV-like refusals are sentences: a network filesystem,
  // a newer schema.
  static Result<std::unique_ptr<Store>> Open(const std::string& path);

  // VENEER_ROOT, else /var/lib/veneer for root, else $XDG_DATA_HOME/veneer (~/.local/share/veneer).
  static std::string DefaultPath();

  const std::string& path() const { return path_; }  // absolute
  int root_fd() const { return root_.get(); }
  Catalog& catalog() { return *catalog_; }
  ObjectStore& objects() { return objects_; }
  LayerStore& layers() { return layers_; }
  ChainStore& chains() { return chains_; }

 private:
  Store(std::string path, UniqueFd root)
      : path_(std::move(path)),
        root_(std::move(root)),
        objects_(root_.get()),
        layers_(*this),
        chains_(*this) {}

  std::string path_;
  UniqueFd root_;
  std::unique_ptr<Catalog> catalog_;
  ObjectStore objects_;
  LayerStore layers_;
  ChainStore chains_;
};

}  // namespace veneer
