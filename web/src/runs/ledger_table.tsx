import { formatMoney } from "../lib/cost";
import type { Ledger } from "../lib/runs_store";
import { formatValue } from "./plots";
import type { ShownRun } from "./shown_run";

const number = (ledger: Ledger, name: string): number | undefined =>
  typeof ledger[name] === "number" ? (ledger[name] as number) : undefined;

const rows: { label: string; show: (ledger: Ledger) => string | undefined }[] = [
  { label: "Machine", show: (l) => `${String(l.machine ?? "–")}, ${number(l, "cores") ?? "?"} cores` },
  { label: "Steps", show: (l) => number(l, "steps")?.toLocaleString("en-GB") },
  { label: "Tokens", show: (l) => number(l, "tokens")?.toLocaleString("en-GB") },
  { label: "Time", show: (l) => duration(number(l, "wall_seconds")) },
  { label: "Tokens per second", show: (l) => formatValue(number(l, "tokens_per_second")) },
  { label: "Of the machine's peak", show: (l) => percent(number(l, "fraction_of_peak")) },
  { label: "Memory", show: (l) => `${formatValue(number(l, "peak_memory_bytes"))}B` },
  { label: "Cost", show: (l) => formatMoney(number(l, "cost") ?? 0, String(l.currency ?? "")) },
];

export function LedgerTable({ runs }: { runs: ShownRun[] }) {
  const billed = runs.filter((r) => r.ledger);
  if (billed.length === 0) return null;
  return (
    <section class="ledger">
      <h2>What it cost</h2>
      <div class="scroller" tabIndex={0} role="region" aria-label="Ledger">
        <table>
          <thead>
            <tr>
              <th scope="col">Run</th>
              {billed.map((r) => <th key={r.name} scope="col">{r.name}</th>)}
            </tr>
          </thead>
          <tbody>
            {rows.map(({ label, show }) => (
              <tr key={label}>
                <th scope="row">{label}</th>
                {billed.map((r) => <td key={r.name}>{(r.ledger && show(r.ledger)) ?? "–"}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function percent(fraction: number | undefined): string | undefined {
  return fraction === undefined ? undefined : `${(100 * fraction).toFixed(0)} %`;
}

function duration(seconds: number | undefined): string | undefined {
  if (seconds === undefined) return undefined;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
