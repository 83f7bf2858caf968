#pragma once
// A machine or a cluster for plans: nodes of equal devices, as a TOML file (machines/*.toml) tells.

#include <string>
#include <vector>

#include "config/fields.h"

namespace minke {

// One device is a GPU or, in a CPU server, the whole of its sockets. Rates are decimal and count a
// multiply-add as two operations, without sparsity; link rates are one direction, usable.
struct MachineSpec {
  std::string name;
  int64_t devices_per_node = 1;
  double memory_gib = 0;   // GiB of one device
  double memory_gbps = 0;  // GB/s
  double f32_tflops = 0;   // 0: no such unit
  double bf16_tflops = 0;
  double fp8_tflops = 0;
  double intra_node_gbps = 0;  // GB/s of a device to its neighbours in the node; 0: none
  double inter_node_gbps = 0;  // GB/s of a device to other nodes; 0: none
  double price_per_hour = 0;   // USD, one device
  double watts = 0;            // one device with its share of nothing else
};

// What software reaches of the published rates. The defaults are measurements that others published
// for Hopper GPUs; docs/plan.md names each source. None is taken from the bills that plans are
// compared with.
struct Efficiency {
  double matmul = 0.716;            // of the peak for an endless inner dimension
  double matmul_half = 718;         // inner dimension at which half of that is reached
  double attention_forward = 0.60;  // of the bf16 peak
  double attention_backward = 0.45;
  double decode_attention = 0.586;
  double memory = 0.78;               // of the memory's rate
  double small_messages = 0.80;       // of a link's rate for the all-to-all of generation
  double communication_units = 0.15;  // share of a device's units that the all-to-all occupies
  double balance = 0.85;              // mean load of devices by the largest, serving with experts
  double utilization = 0.70;          // mean by peak load of a service
  double availability = 0.95;         // of a training run: restarts, evaluation, checkpoints
};

template <typename Visit>
void visit_fields(MachineSpec& c, Visit&& visit) {
  visit(Field{"name", "what the machine is called"}, c.name);
  visit(Field{"devices_per_node", "devices of a node", 1, 1024}, c.devices_per_node);
  visit(Field{"memory_gib", "memory of a device, GiB", 1e-3, 1e6}, c.memory_gib);
  visit(Field{"memory_gbps", "its bandwidth, GB/s", 1e-3, 1e6}, c.memory_gbps);
  visit(Field{"f32_tflops", "peak of f32, TFLOP/s; 0: none", 0, 1e6}, c.f32_tflops);
  visit(Field{"bf16_tflops", "peak of bf16", 0, 1e6}, c.bf16_tflops);
  visit(Field{"fp8_tflops", "peak of FP8", 0, 1e6}, c.fp8_tflops);
  visit(Field{"intra_node_gbps", "link of a device inside its node, GB/s one way", 0, 1e5},
        c.intra_node_gbps);
  visit(Field{"inter_node_gbps", "link of a device to other nodes, GB/s one way", 0, 1e5},
        c.inter_node_gbps);
  visit(Field{"price_per_hour", "price of a device for an hour, USD", 0, 1e6}, c.price_per_hour);
  visit(Field{"watts", "power of a device under load", 0, 1e6}, c.watts);
}

template <typename Visit>
void visit_fields(Efficiency& c, Visit&& visit) {
  visit(Field{"matmul", "matrix products with a long inner dimension, of the peak", 0.01, 1},
        c.matmul);
  visit(Field{"matmul_half", "inner dimension at which half of that is reached", 0, 1e5},
        c.matmul_half);
  visit(Field{"attention_forward", "attention forward, of the bf16 peak", 0.01, 1},
        c.attention_forward);
  visit(Field{"attention_backward", "attention backward, of the bf16 peak", 0.01, 1},
        c.attention_backward);
  visit(Field{"decode_attention", "attention over the cache, of the bf16 peak", 0.01, 1},
        c.decode_attention);
  visit(Field{"memory", "of the memory's rate", 0.01, 1}, c.memory);
  visit(Field{"small_messages", "all-to-all of generation, of the link's rate", 0.01, 1},
        c.small_messages);
  visit(Field{"communication_units", "share of the device that the all-to-all occupies", 0, 0.9},
        c.communication_units);
  visit(Field{"balance", "mean by largest load of devices when experts serve", 0.01, 1}, c.balance);
  visit(Field{"utilization", "mean by peak load of a service", 0.01, 1}, c.utilization);
  visit(Field{"availability", "share of a training run's time that trains", 0.01, 1},
        c.availability);
}

struct MachineFile {
  MachineSpec spec;
  Efficiency efficiency;
};

// A TOML file's text: MachineSpec's keys, and [efficiency]. Unknown keys, wrong types and values
// out of bounds are usage Errors that name the line.
MachineFile parse_machine(const std::string& toml, const std::string& where);

// A preset by name ("h800"), or a TOML file; anything else is a usage Error that lists the presets.
MachineFile load_machine(const std::string& name_or_file);
std::vector<std::string> machine_names();

}  // namespace minke
