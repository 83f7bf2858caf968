// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { Client } from "../src/lib/api";
import { listed, RunsStore } from "../src/lib/runs_store";

// A server with one run, whose lines the test adds.
function serverOf(lines: object[]) {
  const asked: string[] = [];
  const answer = (path: string): unknown => {
    asked.push(path);
    const after = Number(new URL(path, "http://x").searchParams.get("after"));
    if (path === "/api/runs") return { runs: [{ name: "a b", modified: 0, stages: [] }] };
    if (path.includes("/metrics")) return { lines: lines.slice(after), next: lines.length };
    if (path.includes("/samples")) return { lines: [], next: 0 };
    return null;
  };
  const client = new Client("", (path) => Promise.resolve(new Response(JSON.stringify(answer(path)))));
  return { store: new RunsStore(client), asked };
}

describe("runs", () => {
  it("of several stages are listed stage by stage", () => {
    const runs = [{ name: "r1", modified: 5, stages: ["sft", "grpo"] }, { name: "base", modified: 4, stages: [] }];
    expect(listed(runs).map((r) => r.name)).toEqual(["r1/sft", "r1/grpo", "base"]);
  });

  it("are read on from where the last answer ended, the newest first of all", async () => {
    const lines = [{ step: 1, loss: 3 }];
    const { store, asked } = serverOf(lines);
    const signal = new AbortController().signal;
    await store.round(signal);
    expect(store.state.chosen).toEqual(["a b"]);
    lines.push({ step: 2, loss: 2 });
    await store.round(signal);
    expect(store.state.data["a b"]?.metrics.lines).toEqual(lines);
    expect(asked).toContain("/api/runs/a%20b/metrics?after=1");
  });

  it("are read again when their file has become shorter", async () => {
    const lines = [{ step: 1, loss: 3 }, { step: 2, loss: 2 }];
    const { store } = serverOf(lines);
    const signal = new AbortController().signal;
    await store.round(signal);
    lines.splice(0, 2, { step: 1, loss: 4 });
    await store.round(signal);
    await store.round(signal);
    expect(store.state.data["a b"]?.metrics.lines).toEqual([{ step: 1, loss: 4 }]);
  });
});
