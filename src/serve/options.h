#pragma once
// serve/: models behind HTTP. It owns sockets, keys, limits, queues and the paths of the interface,
// and may include infer/, api/, model/, text/, plan/, ledger/, tensor/, config/ and base/.
// What must hold: no request can crash or stall the server or reach a file that is not its model's,
// an error ends one request only, and what a request gets does not depend on what others ask.
//
// This header: what one can choose.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "config/train_config.h"
#include "tensor/dtype.h"

namespace minke {

// A model that can be asked for.
struct ServedModelOptions {
  std::string name;
  fs::path path;
  std::optional<DType> compute;  // nothing: the dtype that suits the files
  int64_t context = 0;           // tokens of one sequence; 0: default_context, or the model's limit
  int64_t cache_tokens = 0;      // of all sequences together; 0: chosen from context
  int64_t max_sequences = 16;    // answers that grow at once
  int64_t draft_tokens = 0;      // see EngineOptions
};

// Another name of a model, which may say whether it is to reason.
struct ModelAlias {
  std::string model;
  std::optional<bool> thinking;
};

struct ServeOptions {
  std::string host = "127.0.0.1";
  int port = 8000;  // 0: any that is free
  std::vector<ServedModelOptions> models;
  std::map<std::string, ModelAlias> aliases;
  int64_t memory_bytes = 0;  // for all models together; 0: what the machine grants

  std::vector<std::string> keys;    // none: everybody on this machine
  int64_t requests_per_minute = 0;  // of one key; 0: any number
  int64_t requests_at_once = 0;     // of one key; 0: any number
  int64_t queue = 256;              // requests that wait for one model
  int64_t connections = 512;        // at once
  int64_t body_bytes = int64_t{8} << 20;
  int64_t header_bytes = int64_t{64} << 10;
  double read_seconds = 30;       // for a request to arrive
  double write_seconds = 30;      // for a client to take what is sent
  double idle_seconds = 15;       // between two requests of a connection
  double answer_seconds = 3600;   // from a request's arrival to the end of its answer
  double keep_alive_seconds = 5;  // of silence, before a comment shows that the server lives
  double drain_seconds = 30;      // for answers under way when the server is told to stop

  std::vector<std::string> origins;   // that CORS lets in; "*": all
  fs::path certificate, private_key;  // PEM; both: TLS
  fs::path runs;                      // folder of training runs to show; empty: none
  CostConfig prices;
};

// The models of a TOML file. It has tables [[model]] with the keys name and path, and optionally
// compute, context, cache_tokens, max_sequences and draft_tokens; in a table [aliases], the value
// of another name is "model" or {model = "...", thinking = true}.
// What is wrong with it is a usage Error that names the place.
void read_models_file(const fs::path& path, ServeOptions& options);

}  // namespace minke
