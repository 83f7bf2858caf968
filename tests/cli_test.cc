// The program as a person calls it: exit codes, and one line of error on stderr.

#include <algorithm>

#include "ledger/ledger.h"
#include "program.h"

namespace minke {
namespace {

using Cli = ProgramTest;

TEST_F(Cli, HelpAndVersion) {
  const Outcome help = run("--help");
  EXPECT_EQ(help.code, 0);
  EXPECT_NE(help.out.find("ledger"), std::string::npos);
  EXPECT_EQ(help.err, "");
  const Outcome version = run("--version");
  EXPECT_EQ(version.code, 0);
  EXPECT_TRUE(version.out.starts_with("minke ")) << version.out;
}

TEST_F(Cli, WrongCallsExitWithTwo) {
  EXPECT_EQ(run("ledgr").err,
            "error: unknown command 'ledgr', did you mean 'ledger'?; --help tells what is\n");
  EXPECT_EQ(run("tokenizer trian").err,
            "error: unknown command 'trian', did you mean 'train'?; --help tells what is\n");
  for (const char* call : {"", "ledgr", "ledger", "ledger x y", "ledger --jsn x",
                           "ledger x --threads 0", "ledger x --log-level loud"}) {
    const Outcome outcome = run(call);
    EXPECT_EQ(outcome.code, 2) << call;
    EXPECT_EQ(outcome.out, "") << call;
    EXPECT_TRUE(outcome.err.starts_with("error: ")) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST_F(Cli, FailedWorkExitsWithOne) {
  const Outcome outcome = run("ledger /nonexistent --quiet --threads 1");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "error: cannot open /nonexistent: No such file or directory\n");
}

TEST_F(Cli, LedgerPrintsTableOrJson) {
  Ledger ledger;
  ledger.name = "a run";
  write_file(folder_ / "ledger.json", write_ledger(ledger));
  EXPECT_EQ(run("ledger " + folder_.string()).out, ledger_table(ledger));
  EXPECT_EQ(run("ledger --json " + folder_.string()).out, write_ledger(ledger));
  EXPECT_EQ(run("ledger " + folder_.string() + " >/dev/full").err,
            "error: cannot write to standard output\n");
}

}  // namespace
}  // namespace minke
