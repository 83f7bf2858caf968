#pragma once
// The models that can be asked for, loaded when they are, within the memory that is granted.

#include <functional>
#include <future>
#include <list>

#include "serve/metrics.h"
#include "serve/served_model.h"

namespace minke {

// Thread-safe.
class ModelPool {
 public:
  explicit ModelPool(const ServeOptions& options);
  // Waits for loads under way.
  ~ModelPool();

  struct Lease {
    std::shared_ptr<ServedModel> model;  // stays loaded as long as this is held
    std::optional<bool> thinking;        // what the name says of it
    std::string name;                    // as it was asked for
  };
  // Loads the model if it is not; least recently used ones that nobody holds are unloaded for it.
  // "" is the first model. An unknown name is an ApiError of 404, too little memory one of 503.
  // look_around is called again and again while the model is loaded; when it throws, the load goes
  // on for others.
  Lease acquire(const std::string& name, const std::function<void()>& look_around);
  // All names, aliases too.
  std::vector<std::string> names() const;
  // An ApiError of 404 for one that is not among them.
  void check_name(const std::string& name) const;
  ServerMetrics::ModelStates states() const;
  bool has_loaded() const;

 private:
  struct Entry {
    ServedModelOptions options;
    std::shared_ptr<ServedModel> model;
    int64_t bytes = 0;                 // that it takes, or that are set aside for it
    double used = 0;                   // when it was last asked for
    std::shared_future<void> loading;  // the last load, in a thread of its own
  };

  Entry& find(const std::string& name, std::optional<bool>& thinking);
  std::shared_ptr<ServedModel> loaded(Entry& entry, const std::function<void()>& look_around);
  void load(Entry& entry);
  void make_room(Entry& wanted, int64_t bytes);
  std::vector<std::shared_ptr<ServedModel>> unload_for(const Entry& wanted, int64_t bytes);

  const ServeOptions options_;
  std::mutex room_mutex_;  // held until the memory of unloaded models is free; taken before mutex_
  mutable std::mutex mutex_;  // for what follows
  std::list<Entry> entries_;
  EngineStats unloaded_;  // counters of models that were unloaded
};

}  // namespace minke
