#include "fs/open_mode.h"

#include <algorithm>
#include <utility>

#include "fs/log.h"

namespace veneer::fs {

void OpenModes::Check(NodeId node, const State& state) {
  if (state.Sound()) return;
  violations_.fetch_add(1, std::memory_order_relaxed);
  Log(LogLevel::kError,
      "open modes of node {}: mode {}, {} handles, {} writers, {} mappers, backing {}{}{}",
      static_cast<uint64_t>(node), static_cast<int>(state.mode), state.handles, state.writers,
      state.mappers, state.backing_id, state.stale_pages ? ", stale pages" : "",
      state.told ? ", told" : "");
}

OpenModes::Opened OpenModes::Open(NodeId node, Access access, bool made, const Data& data,
                                  const std::function<int(int fd)>& add) {
  Shard& shard = ShardOf(node);
  MutexLock lock(shard.mu);
  State& state = shard.nodes[static_cast<uint64_t>(node)];
  const bool may_share =
      state.mode == OpenMode::kIdle && data.final_fd < 0 && data.share && state.changers == 0;
  const int shared_fd = may_share ? data.share() : -1;
  OpenMode next = NextMode(state.mode, data.final_fd >= 0, shared_fd >= 0);
  if (state.mode == OpenMode::kIdle && next != OpenMode::kCached) {
    state.backing_id = std::max(0, add(next == OpenMode::kPassthrough ? data.final_fd : shared_fd));
    if (state.backing_id == 0) next = OpenMode::kCached;
  }
  state.mode = next;
  ++state.handles;
  if (access != Access::kRead) ++state.writers;
  if (access == Access::kMapToWrite) ++state.mappers;
  Opened opened;
  if (next != OpenMode::kCached) {
    opened.backing_id = state.backing_id;
    if (access != Access::kRead) state.stale_pages = true;
    if (access == Access::kMapToWrite && state.mappers == 1 && !made) {
      opened.drop_attributes = true;
      state.told = true;  // an answer under way may come after that
    }
  } else {
    opened.keep_pages = !state.stale_pages;
    state.stale_pages = false;
  }
  Check(node, state);
  return opened;
}

OpenModes::Closed OpenModes::Close(NodeId node, Access access, bool passthrough) {
  Closed closed;
  Shard& shard = ShardOf(node);
  MutexLock lock(shard.mu);
  auto it = shard.nodes.find(static_cast<uint64_t>(node));
  if (it == shard.nodes.end() || it->second.handles == 0 ||
      passthrough != (it->second.backing_id > 0)) {
    violations_.fetch_add(1, std::memory_order_relaxed);
    Log(LogLevel::kError, "open modes of node {}: a close without its open",
        static_cast<uint64_t>(node));
    return closed;
  }
  State& state = it->second;
  bool unseen = state.ChangesUnseen();
  if (access == Access::kMapToWrite && state.mappers > 0) --state.mappers;
  if (access != Access::kRead && state.writers > 0) --state.writers;
  if (state.writers == 0 || (unseen && state.mappers == 0)) {
    closed.drop_attributes = std::exchange(state.told, false);
  }
  if (--state.handles == 0) {
    closed.backing_id = std::exchange(state.backing_id, 0);
    state.mode = OpenMode::kIdle;
  }
  Check(node, state);
  if (IsNothing(state)) shard.nodes.erase(it);
  return closed;
}

OpenModes::Changing::Changing(OpenModes& modes, NodeId node) : modes_(modes), node_(node) {
  Shard& shard = modes_.ShardOf(node_);
  MutexLock lock(shard.mu);
  State& state = shard.nodes[static_cast<uint64_t>(node_)];
  held_ = state.mode != OpenMode::kShared;
  if (held_) ++state.changers;
}

OpenModes::Changing::~Changing() {
  if (!held_) return;
  Shard& shard = modes_.ShardOf(node_);
  MutexLock lock(shard.mu);
  auto it = shard.nodes.find(static_cast<uint64_t>(node_));
  --it->second.changers;
  if (IsNothing(it->second)) shard.nodes.erase(it);
}

bool OpenModes::ChangesUnseen(NodeId node) {
  Shard& shard = ShardOf(node);
  MutexLock lock(shard.mu);
  auto it = shard.nodes.find(static_cast<uint64_t>(node));
  return it != shard.nodes.end() && it->second.ChangesUnseen();
}

bool OpenModes::Tell(NodeId node) {
  Shard& shard = ShardOf(node);
  MutexLock lock(shard.mu);
  auto it = shard.nodes.find(static_cast<uint64_t>(node));
  if (it == shard.nodes.end()) return true;
  State& state = it->second;
  if (state.ChangesUnseen()) return false;
  if (state.writers > 0) state.told = true;
  return true;
}

std::vector<NodeId> OpenModes::CachedWriters() {
  std::vector<NodeId> nodes;
  for (Shard& shard : shards_) {
    MutexLock lock(shard.mu);
    for (const auto& [node, state] : shard.nodes) {
      if (state.mode == OpenMode::kCached && state.writers > 0) nodes.push_back(NodeId{node});
    }
  }
  return nodes;
}

bool OpenModes::HasCachedWriter(NodeId node) {
  Shard& shard = ShardOf(node);
  MutexLock lock(shard.mu);
  auto it = shard.nodes.find(static_cast<uint64_t>(node));
  return it != shard.nodes.end() && it->second.mode == OpenMode::kCached && it->second.writers > 0;
}

void OpenModes::Forget(NodeId node) {
  Shard& shard = ShardOf(node);
  MutexLock lock(shard.mu);
  auto it = shard.nodes.find(static_cast<uint64_t>(node));
  if (it == shard.nodes.end() || it->second.handles > 0 || it->second.changers > 0) return;
  shard.nodes.erase(it);
}

}  // namespace veneer::fs
