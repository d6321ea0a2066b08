// Which objects a layer needs: those its recipe refers to, to give the tar back, and those its tree
// refers to. The two overlap but for files that the tar gave twice (recipe only) and files that are
// one hole (tree only). Whoever decides what to delete asks both.
#pragma once

#include <functional>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/store.h"

namespace veneer {

using ObjectVisitor = std::function<void(const ObjectId&, uint64_t size)>;

// Repetitions included. ENOENT: no such layer; EBADMSG: damaged. Neither repairs anything.
Result<> ForEachObjectOfRecipe(Store& store, const DiffId& layer, const ObjectVisitor& visit);
Result<> ForEachObjectOfTree(Store& store, const DiffId& layer, const ObjectVisitor& visit);

}  // namespace veneer
