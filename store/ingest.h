// IngestSession: one process adding layers to the store, from the first byte staged to the
// transaction that commits.
//
// Owns `ingest/<random>/` (removed on destruction, and by a later sweep if the process dies) and a
// shared WorkLease. Nothing of it is visible to others before Publish; after a crash at any
// instruction the store has all of what was published in one Publish call, or none. Not
// thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/archive/byte_stream.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/catalog.h"
#include "store/lease.h"
#include "store/object_store.h"

namespace veneer {

class Store;

// A layer whose tree and recipe stand in the session's directory under `folder`.
struct StagedLayer {
  LayerRow row;
  std::string folder;
};

class IngestSession {
 public:
  static Result<std::unique_ptr<IngestSession>> Begin(Store& store);
  ~IngestSession();
  IngestSession(const IngestSession&) = delete;
  IngestSession& operator=(const IngestSession&) = delete;

  Store& store() { return store_; }
  ObjectStaging& objects() { return *objects_; }
  int dir_fd() const { return dir_.get(); }
  std::string path() const;  // of its folder, absolute
  // A fresh folder in it, for a layer's `tree` and `recipe` or for whatever `kind` says; its name.
  Result<std::string> NewFolder(const std::string& kind);
  Result<std::string> NewLayerFolder() { return NewFolder("layer"); }

  // Makes objects and layers durable, then commits one transaction that records the layers and runs
  // `record` (which may use the catalogue). Layers that exist already are skipped.
  Result<> Publish(std::span<const StagedLayer> layers, const std::function<Result<>()>& record);

 private:
  IngestSession(Store& store, WorkLease lease, std::string name, UniqueFd dir)
      : store_(store), lease_(std::move(lease)), name_(std::move(name)), dir_(std::move(dir)) {}
  Result<> NameLayer(const StagedLayer& layer);

  Store& store_;
  WorkLease lease_;
  std::string name_;  // "ingest/<random>"
  UniqueFd dir_;      // flocked
  std::unique_ptr<ObjectStaging> objects_;
  int folders_ = 0;
};

// Ingests one layer tar (decompressed): objects, tree and recipe are staged in `session`; the row
// has its DiffID. Reads `tar` to its end. EBADMSG: not a tar or damaged.
Result<StagedLayer> IngestLayerTar(IngestSession& session, ByteSource& tar);

}  // namespace veneer
