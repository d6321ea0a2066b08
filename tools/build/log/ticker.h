// Ticker: a thread that calls a function again and again, for as long as the object lives.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "store/base/mutex.h"

namespace veneer::build {

class Ticker {
 public:
  // Calls `tick` every `period`, the first time after one. Where the host has no thread to give,
  // nothing is called.
  Ticker(std::chrono::milliseconds period, std::function<void()> tick);
  ~Ticker();  // waits for the call under way
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

 private:
  void Run();

  const std::chrono::milliseconds period_;
  const std::function<void()> tick_;
  Mutex mu_;
  CondVar changed_;
  bool ending_ GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace veneer::build
