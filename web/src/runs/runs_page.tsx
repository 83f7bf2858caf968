import { useEffect, useMemo, useState } from "preact/hooks";
import type { Theme } from "../app";
import type { Client } from "../lib/api";
import { useShortcuts, useStore } from "../lib/hooks";
import type { XAxis } from "../lib/metrics";
import { RunsStore } from "../lib/runs_store";
import type { Settings } from "../lib/settings";
import { TopBar } from "../parts/top_bar";
import { HeatMap } from "./heat_map";
import { LedgerTable } from "./ledger_table";
import { Plots } from "./plots";
import { RunList } from "./run_list";
import { Samples } from "./samples";

interface Props {
  client: Client;
  settings: Settings;
  change: (part: Partial<Settings>) => void;
  onUnauthorized: () => void;
  theme: Theme;
}

export function RunsPage({ client, settings, change, onUnauthorized, theme }: Props) {
  const store = useMemo(() => new RunsStore(client), [client]);
  const { runs, loaded, chosen, data, problem } = useStore(store);
  const [axis, setAxis] = useState<XAxis>("step");
  store.onUnauthorized = onUnauthorized;
  useShortcuts({ KeyR: () => (location.hash = "#chat") });
  useEffect(() => {
    const abort = new AbortController();
    void store.follow(abort.signal);
    return () => abort.abort();
  }, [store]);

  const shown = chosen.flatMap((name) => {
    const run = data[name];
    return run ? [{ name, colour: colourOf(runs.map((r) => r.name), name), ...run }] : [];
  });
  return (
    <div class="page runs">
      <TopBar page="runs" settings={settings} change={change} />
      <main>
        <h1 class="hidden">Training runs</h1>
        {problem && <p class="problem" role="alert">{problem}</p>}
        <div class="runs-layout">
          <aside aria-label="Training runs">
            <RunList runs={runs} loaded={loaded} chosen={chosen} onToggle={(name) => store.toggle(name)} />
            <label class="field axis">
              <span>Horizontal axis</span>
              <select value={axis} onChange={(event) => setAxis(event.currentTarget.value as XAxis)}>
                <option value="step">steps</option>
                <option value="tokens">tokens</option>
              </select>
            </label>
          </aside>
          <div class="run-views">
            {loaded && shown.length === 0 && <Nothing any={runs.length > 0} />}
            <Plots runs={shown} axis={axis} theme={theme} />
            {shown.map((run) => <HeatMap key={run.name} run={run} />)}
            <LedgerTable runs={shown} />
            {shown.map((run) => <Samples key={run.name} run={run} />)}
          </div>
        </div>
      </main>
    </div>
  );
}

function Nothing({ any }: { any: boolean }) {
  return (
    <p class="faint nothing">
      {any ? "Choose a run to see its curves." : "There is no training run here yet. minke serve --runs FOLDER shows those of a folder."}
    </p>
  );
}

const colours = 6; // --run-0 … in base.css

// A run keeps its colour whichever others are chosen.
function colourOf(names: string[], name: string): string {
  return `--run-${[...names].sort().indexOf(name) % colours}`;
}
