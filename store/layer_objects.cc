#include "store/layer_objects.h"

#include <fcntl.h>

#include "store/base/beneath.h"

namespace veneer {

Result<> ForEachObjectOfRecipe(Store& store, const DiffId& layer, const ObjectVisitor& visit) {
  TRY_ASSIGN(auto recipe, store.layers().Recipe(layer));
  return recipe.reader->ForEachObject([&](const ObjectRef& ref) -> Result<> {
    visit(ref.id, ref.size);
    return {};
  });
}

Result<> ForEachObjectOfTree(Store& store, const DiffId& layer, const ObjectVisitor& visit) {
  // Not LayerStore::OpenTree, which rebuilds: a sweep could not, and a check wants to know.
  TRY_ASSIGN(UniqueFd fd, OpenAt(store.root_fd(), LayerStore::FolderOf(layer) + "/tree", O_RDONLY));
  TRY_ASSIGN(auto tree, tree::LayerTree::Open(fd.get()));
  return tree->ForEachObject(visit);
}

}  // namespace veneer
