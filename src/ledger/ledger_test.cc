#include "ledger/ledger.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "config/json.h"
#include "ledger/metrics.h"
#include "ledger/version.h"

namespace minke {
namespace {

class LedgerTest : public ::testing::Test {
 protected:
  LedgerTest() { fs::create_directories(folder_); }
  ~LedgerTest() override { fs::remove_all(folder_); }
  fs::path folder_ = fs::temp_directory_path() / fmt::format("minke-ledger-{}", ::getpid());
};

Ledger example() {
  Ledger l;
  l.name = "demo";
  l.machine = "a CPU";
  l.cores = 2;
  l.sessions = 1;
  l.wall_seconds = 7200;
  l.core_seconds = 14400;
  l.training_seconds = 3600;
  l.cpu_seconds = 12345;
  l.steps = 1000;
  l.tokens = 7'200'000;
  l.model_flops = 3.6e15;
  l.peak_flops = 4e12;
  l.peak_memory_bytes = 1'500'000'000;
  l.planned_memory_bytes = 1'600'000'000;
  l.energy_joules = 3.6e6;
  l.prices.per_core_hour = 0.05;
  l.prices.per_kwh = 0.2;
  l.recipe_sha256 = "ab";
  l.curve = {{10, 1000, 1.5, 8.25, std::nullopt, 0.01}, {20, 2000, 3.0, 7.5, 2.125, 0.02}};
  return l;
}

TEST_F(LedgerTest, AddsUp) {
  Ledger l = example();
  EXPECT_DOUBLE_EQ(l.tokens_per_second(), 2000.0);
  EXPECT_DOUBLE_EQ(l.flops_per_second(), 1e12);
  EXPECT_DOUBLE_EQ(*l.fraction_of_peak(), 0.25);
  EXPECT_DOUBLE_EQ(l.cost(), 2 * 2 * 0.05 + 0.2);
  l.energy_joules.reset();
  l.gpus = 3;
  EXPECT_DOUBLE_EQ(l.cost(), 2 * (2 * 0.05 + 3 * 2.0));
  EXPECT_EQ(Ledger().tokens_per_second(), 0.0);
}

TEST_F(LedgerTest, ReadsWhatItWrote) {
  Ledger l = example();
  const std::string text = write_ledger(l);
  write_file(folder_ / "ledger.json", text);
  EXPECT_EQ(write_ledger(load_ledger(folder_)), text);
  EXPECT_EQ(load_ledger(folder_ / "ledger.json").curve[1].bits_per_byte, 2.125);
  EXPECT_FALSE(load_ledger(folder_).curve[0].bits_per_byte);
  EXPECT_DOUBLE_EQ(parse_json(text, "x")["cost"].get<double>(), l.cost());
  EXPECT_EQ(write_ledger(parse_ledger(write_ledger(Ledger()), "x")), write_ledger(Ledger()));
}

// JSON has no NaN; a run that skips such steps must still find its bill.
TEST_F(LedgerTest, ReadsALossThatIsNotFinite) {
  Ledger l = example();
  l.curve[0].train_loss = NAN;
  l.curve[1].bits_per_byte = NAN;
  const Ledger read = parse_ledger(write_ledger(l), "x");
  EXPECT_TRUE(std::isnan(read.curve[0].train_loss));
  EXPECT_FALSE(read.curve[1].bits_per_byte);
  EXPECT_NE(ledger_table(read).find("nan"), std::string::npos);
}

TEST_F(LedgerTest, RefusesDamagedFiles) {
  EXPECT_THROW(load_ledger(folder_), Error);
  EXPECT_THROW(parse_ledger("", "x"), Error);
  EXPECT_THROW(parse_ledger("[]", "x"), Error);
  EXPECT_THROW(parse_ledger("{}", "x"), Error);
  auto json = parse_json(write_ledger(example()), "x");
  json["curve"] = {1};
  EXPECT_THROW(parse_ledger(json.dump(), "x"), Error);
  json["curve"] = nlohmann::json::array();
  json["tokens"] = "many";
  EXPECT_THROW(parse_ledger(json.dump(), "x"), Error);
}

TEST_F(LedgerTest, SessionsAddToEachOther) {
  Ledger before = example();
  before.energy_joules.reset();
  LedgerSession session(before);
  session.go_on_after(15);
  const Ledger& now = session.update();
  EXPECT_EQ(now.sessions, 2);
  EXPECT_GE(now.wall_seconds, before.wall_seconds);
  EXPECT_LT(now.wall_seconds, before.wall_seconds + 60);
  EXPECT_GE(now.cpu_seconds, before.cpu_seconds);
  EXPECT_GE(now.peak_memory_bytes, before.peak_memory_bytes);
  EXPECT_FALSE(now.energy_joules) << "the first session's energy is not known";
  ASSERT_EQ(now.curve.size(), 1);
  EXPECT_EQ(now.curve[0].step, 10);
}

// A run that goes on with other cores keeps the bill of the sessions before.
TEST_F(LedgerTest, EachSessionIsPaidWithItsOwnCores) {
  Ledger before = example();
  before.energy_joules.reset();
  before.cores = 100;
  before.core_seconds = 720000;
  LedgerSession session(before);
  const Ledger& now = session.update();
  EXPECT_GE(now.cost(), 200 * 0.05);
  EXPECT_LT(now.cost(), 200 * 0.05 + 0.1);
  auto json = parse_json(write_ledger(example()), "x");
  json.erase("core_seconds");  // as older versions wrote it
  EXPECT_DOUBLE_EQ(parse_ledger(json.dump(), "x").cost(), example().cost());
}

TEST_F(LedgerTest, EnergyCountersWrap) {
  const auto set = [&](const char* name, const char* energy) {
    write_file(folder_ / name / "energy_uj", energy);
    write_file(folder_ / name / "max_energy_range_uj", "10000000");
  };
  set("intel-rapl:0", "9000000");
  set("intel-rapl:0:0", "5");
  set("intel-rapl:1", "0");
  EnergyMeter meter(folder_);
  EXPECT_EQ(meter.joules(), 0.0);
  set("intel-rapl:0", "1000000");
  set("intel-rapl:0:0", "5000000");
  set("intel-rapl:1", "500000");
  EXPECT_DOUBLE_EQ(*meter.joules(), 2.5);
  EXPECT_DOUBLE_EQ(*meter.joules(), 2.5);
  EXPECT_FALSE(EnergyMeter(folder_ / "nothing").joules());
}

TEST_F(LedgerTest, TableTellsEverything) {
  const std::string table = ledger_table(example());
  for (const char* part :
       {"a CPU, 2 cores", "2 h 00 min", "7,200,000 in 1,000 steps, 2000 per second",
        "1 TFLOP/s, 25.0 % of the measured peak", "1.5 GB of 1.6 GB planned", "3.6 MJ (1.0000 kWh)",
        "0.4000 USD", "2.1250", "8.2500"})
    EXPECT_NE(table.find(part), std::string::npos) << part << "\n" << table;
  EXPECT_NE(ledger_table(Ledger()).find("not reported"), std::string::npos);
}

TEST_F(LedgerTest, LongCurvesAreThinned) {
  Ledger l = example();
  l.curve.clear();
  for (int i = 1; i <= 1000; ++i)
    l.curve.push_back({i, i * int64_t{256}, i * 1.0, 5.0, std::nullopt, 0.0});
  const std::string table = ledger_table(l);
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 15 + 2 + 20);
  EXPECT_NE(table.find("    1000        256,000"), std::string::npos) << table;
}

TEST_F(LedgerTest, MetricsResume) {
  const fs::path path = folder_ / "run" / "metrics.jsonl";
  {
    MetricsWriter writer(path, -1);
    for (int step = 1; step <= 5; ++step) writer.write({{"step", step}, {"loss", 1.5}});
    EXPECT_EQ(read_metrics(path).size(), 5) << "each line is in the file at once";
  }
  write_file(path, read_file(path) + "{\"step\": 6, \"lo");
  EXPECT_EQ(read_metrics(path).size(), 5);
  MetricsWriter(path, 9).write({{"step", 10}});
  EXPECT_EQ(read_metrics(path).size(), 6);
  MetricsWriter(path, 3).write({{"step", 4}, {"loss", 1.0}});
  const auto lines = read_metrics(path);
  ASSERT_EQ(lines.size(), 4);
  EXPECT_EQ(lines[3]["loss"], 1.0);
  const MetricsWriter anew(path, -1);
  EXPECT_EQ(read_metrics(path).size(), 0);
  EXPECT_EQ(read_metrics(folder_ / "none.jsonl").size(), 0);
}

TEST_F(LedgerTest, MetricsNameADamagedLine) {
  const fs::path path = folder_ / "metrics.jsonl";
  for (const char* text :
       {"{\"step\":1}\nnonsense\n{\"step\":2}\n", "{\"step\":1}\n{\"loss\":1}\n"}) {
    write_file(path, text);
    try {
      read_metrics(path);
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.what(), path.string() + ": line 2 is damaged");
    }
  }
}

TEST_F(LedgerTest, AFullDiskIsAnError) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting a small tmpfs needs root";
  if (::mount("minke-test", folder_.c_str(), "tmpfs", 0, "size=16k") != 0)
    GTEST_SKIP() << "a tmpfs cannot be mounted here: " << std::strerror(errno);
  std::string message;
  size_t lines = 0;
  {
    MetricsWriter writer(folder_ / "metrics.jsonl", -1);
    try {
      for (int step = 1; step < 1000; ++step)
        writer.write({{"step", step}, {"x", std::string(200, 'x')}});
    } catch (const Error& e) {
      message = e.what();
    }
    lines = read_metrics(folder_ / "metrics.jsonl").size();
  }
  ::umount(folder_.c_str());
  EXPECT_NE(message.find("No space left on device"), std::string::npos) << message;
  EXPECT_GT(lines, 10);
}

TEST_F(LedgerTest, KnowsItsCode) {
  EXPECT_FALSE(program_version().empty());
  EXPECT_FALSE(code_version().empty());
}

}  // namespace
}  // namespace minke
