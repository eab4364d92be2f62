// What tests can ask of the stand-in and do to it.
#include "nccl_world.hpp"

#include <optional>

using namespace nccl_sim;

state& nccl_sim::state::get() {
  static state& only = *new state;  // outlives whatever ends with the program
  return only;
}
std::string& nccl_sim::last_error() {
  thread_local std::string text;
  return text;
}
std::optional<ncclResult_t> nccl_sim::planned(char const* function) {
  auto& s = state::get();
  hold const held(s.lock);
  ++s.calls[function];
  auto const found = s.failures.find(function);
  if (found == s.failures.end() || found->second.empty()) return std::nullopt;
  auto const result = found->second.front();
  found->second.erase(found->second.begin());
  fail(result, std::string(function) + " fails because a test wants it to");
  return result;
}

comm_ref nccl_sim::find(ncclComm_t comm) {
  auto const& comms = state::get().comms;
  auto const found = comms.find(comm);
  return found == comms.end() ? nullptr : found->second;
}
ncclResult_t nccl_sim::fail(ncclResult_t result, std::string const& why) {
  last_error() = "nccl_sim: " + why;
  return result;
}
void nccl_sim::patience(std::chrono::milliseconds p) {
  hold const held(state::get().lock);
  state::get().patience = p;
}
void nccl_sim::polls(int n) {
  hold const held(state::get().lock);
  state::get().polls = n;
}
void nccl_sim::fail_next(std::string const& function, ncclResult_t result) {
  hold const held(state::get().lock);
  state::get().failures[function].push_back(result);
}
void nccl_sim::fail_async(ncclComm_t handle, ncclResult_t result) {
  hold const held(state::get().lock);
  if (auto const comm = find(handle)) comm->error = result;
  state::get().changed.notify_all();
}
int nccl_sim::calls(std::string const& function) {
  hold const held(state::get().lock);
  return state::get().calls[function];
}
int nccl_sim::communicators() {
  hold const held(state::get().lock);
  return static_cast<int>(state::get().comms.size());
}
int nccl_sim::registrations() {
  hold const held(state::get().lock);
  std::size_t n = 0;
  for (auto const& [handle, comm] : state::get().comms) n += comm->registered.size();
  return static_cast<int>(n);
}
int nccl_sim::allocations() {
  hold const held(state::get().lock);
  return static_cast<int>(state::get().memory.size());
}
void nccl_sim::reset() {
  auto& s = state::get();
  hold const held(s.lock);
  s.patience = std::chrono::seconds(20);
  s.polls = 3;
  s.failures.clear();
  s.calls.clear();
}
