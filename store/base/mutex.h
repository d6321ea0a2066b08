// Mutex types that clang's thread-safety analysis understands (-Wthread-safety); plain std types
// underneath.
#pragma once

#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#if defined(__clang__)
#define VENEER_TSA(x) __attribute__((x))
#else
#define VENEER_TSA(x)
#endif
#define CAPABILITY(x) VENEER_TSA(capability(x))
#define SCOPED_CAPABILITY VENEER_TSA(scoped_lockable)
#define GUARDED_BY(x) VENEER_TSA(guarded_by(x))
#define REQUIRES_LOCK(...) VENEER_TSA(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED_LOCK(...) VENEER_TSA(requires_shared_capability(__VA_ARGS__))
#define EXCLUDES_LOCK(...) VENEER_TSA(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) VENEER_TSA(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...) VENEER_TSA(acquire_shared_capability(__VA_ARGS__))
#define RELEASE(...) VENEER_TSA(release_capability(__VA_ARGS__))
#define RELEASE_SHARED(...) VENEER_TSA(release_shared_capability(__VA_ARGS__))
#define RELEASE_GENERIC(...) VENEER_TSA(release_generic_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS VENEER_TSA(no_thread_safety_analysis)

namespace veneer {

class CAPABILITY("mutex") Mutex {
 public:
  void Lock() ACQUIRE() { mu_.lock(); }
  void Unlock() RELEASE() { mu_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mu_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mu) ACQUIRE(mu) : mu_(mu) { mu_.Lock(); }
  ~MutexLock() RELEASE() { mu_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mu_;
};

class CondVar {
 public:
  // Releases `mu` while waiting; wakes may be spurious, so wait in a loop.
  void Wait(Mutex& mu) REQUIRES_LOCK(mu) {
    std::unique_lock<std::mutex> lock(mu.mu_, std::adopt_lock);
    cv_.wait(lock);
    lock.release();
  }
  // The same, but for no longer than `time`.
  template <typename Duration>
  void WaitFor(Mutex& mu, Duration time) REQUIRES_LOCK(mu) {
    std::unique_lock<std::mutex> lock(mu.mu_, std::adopt_lock);
    cv_.wait_for(lock, time);
    lock.release();
  }
  void NotifyAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

class CAPABILITY("mutex") SharedMutex {
 public:
  void Lock() ACQUIRE() { mu_.lock(); }
  void Unlock() RELEASE() { mu_.unlock(); }
  void LockShared() ACQUIRE_SHARED() { mu_.lock_shared(); }
  void UnlockShared() RELEASE_SHARED() { mu_.unlock_shared(); }

 private:
  std::shared_mutex mu_;
};

class SCOPED_CAPABILITY WriteLock {
 public:
  explicit WriteLock(SharedMutex& mu) ACQUIRE(mu) : mu_(mu) { mu_.Lock(); }
  ~WriteLock() RELEASE() { mu_.Unlock(); }
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;

 private:
  SharedMutex& mu_;
};

class SCOPED_CAPABILITY ReadLock {
 public:
  explicit ReadLock(SharedMutex& mu) ACQUIRE_SHARED(mu) : mu_(mu) { mu_.LockShared(); }
  ~ReadLock() RELEASE_GENERIC() { mu_.UnlockShared(); }
  ReadLock(const ReadLock&) = delete;
  ReadLock& operator=(const ReadLock&) = delete;

 private:
  SharedMutex& mu_;
};

}  // namespace veneer
