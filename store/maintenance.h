// Keeping a store in order: removing what nothing reaches, checking everything, and saying what
// uses the space.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/base/result.h"
#include "store/store.h"

namespace veneer {

struct SweepReport {
  uint64_t layers = 0;
  uint64_t objects = 0;
  uint64_t chains = 0;
  uint64_t staging = 0;        // leftover ingest directories
  uint64_t containers = 0;     // folders of containers that are in no row
  uint64_t build_records = 0;  // of the build cache, with a layer that cannot be read
  uint64_t bytes = 0;          // freed on disk, by st_blocks
};

// Removes everything no image, container, build record or living mount reaches: layers without one
// (rows, then files), their objects, merged trees of chains that are none's (nor the base of
// one's), leftover staging and what is still mounted in it, folders of containers without a row.
// Build records whose layers cannot be read go, too. Takes the WorkLease exclusively: waits for
// other processes' loads and commits. Killed at any moment, a later sweep finishes the work. A
// layer whose recipe or tree is damaged is EBADMSG, and no object is removed: nobody can tell which
// ones it needs. REQUIRES (both sweeps): this process holds no WorkLease.
Result<SweepReport> Sweep(Store& store);

// The same, limited to what `layers` held: what `rmi` calls. Does nothing (empty report) while
// another process works.
Result<SweepReport> TryReclaim(Store& store, const std::vector<DiffId>& layers);

struct CheckReport {
  uint64_t images = 0, layers = 0, objects = 0, chains = 0;
  std::vector<std::string> problems;  // one line each, naming image, layer or object
  std::vector<std::string> repaired;  // damaged trees that were rebuilt
  uint64_t unreachable_objects = 0;   // no problem: a sweep removes them
};

// Verifies the catalogue, every layer's tree, recipe and objects (presence and size; with `deep`
// also their digests and each layer's rebuilt tar against its DiffID), and every image's merged
// tree (a missing one is no problem: it is a cache). Rebuilds damaged trees. Holds a shared
// WorkLease. `progress` gets bytes read.
Result<CheckReport> Check(Store& store, bool deep, const std::function<void(uint64_t)>& progress);

struct Usage {
  uint64_t images = 0, active_images = 0, containers = 0, active_containers = 0;
  uint64_t image_bytes = 0;  // on disk: objects, trees and recipes that images reach, each once
  uint64_t reclaimable_bytes = 0;  // of these, what only images without containers reach
  uint64_t container_bytes = 0;    // uppers, on disk
  uint64_t build_records = 0, cache_mounts = 0, active_cache_mounts = 0;
  uint64_t build_cache_bytes = 0;  // on disk: what build records reach and no image, cache mounts
  uint64_t build_cache_reclaimable_bytes = 0;  // of these, all but cache mounts in use
  uint64_t objects = 0;
  uint64_t object_bytes = 0;         // on disk, each object once
  uint64_t layer_content_bytes = 0;  // what the layers' files would take with one copy per layer
  uint64_t image_content_bytes =
      0;  // … and with one copy per image (layers counted once per image)
  uint64_t unreachable_bytes =
      0;  // what a sweep would free, and what mounts of removed images hold
};

// Holds a shared WorkLease. EBADMSG: a layer's recipe is damaged.
Result<Usage> MeasureUsage(Store& store);

}  // namespace veneer
