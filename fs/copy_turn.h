// CopyTurn: the right to copy one inode up, once nobody else has it. Part of the engine
// (overlay.h).
#pragma once

#include "fs/overlay.h"
#include "fs/patience.h"

namespace veneer::fs {

class Overlay::CopyTurn {
 public:
  CopyTurn(InodeTable& table, const InodePtr& inode) : table_(table), inode_(inode) {
    MutexLock lock(inode_->mu);
    while (inode_->copying && !Impatient::Now()) table_.copied(*inode_).Wait(inode_->mu);
    held_ = !inode_->copying;
    inode_->copying = true;
  }
  bool held() const { return held_; }  // false: the thread is Impatient, and somebody else copies
  ~CopyTurn() {
    if (!held_) return;
    MutexLock lock(inode_->mu);
    inode_->copying = false;
    if (inode_->rare().shown) inode_->MakeRare().shown.reset();
    inode_->TidyRare();
    table_.copied(*inode_).NotifyAll();
  }
  CopyTurn(const CopyTurn&) = delete;
  CopyTurn& operator=(const CopyTurn&) = delete;

 private:
  InodeTable& table_;
  const InodePtr inode_;
  bool held_ = false;
};

}  // namespace veneer::fs
