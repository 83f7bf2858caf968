import type { Run } from "../lib/runs_store";

interface Props {
  runs: Run[];
  loaded: boolean;
  chosen: string[];
  onToggle: (name: string) => void;
}

export function RunList({ runs, loaded, chosen, onToggle }: Props) {
  const names = runs.map((r) => r.name).sort();
  return (
    <fieldset class="run-list">
      <legend>Runs</legend>
      {!loaded && <p class="faint">Reading</p>}
      {runs.map((run) => (
        <label key={run.name} class={`run run-colour-${names.indexOf(run.name) % 6}`}>
          <input type="checkbox" checked={chosen.includes(run.name)} onChange={() => onToggle(run.name)} />
          <span class="swatch" aria-hidden="true" />
          <span class="run-name">{run.name}</span>
          <span class="faint">{when(run.modified)}</span>
        </label>
      ))}
    </fieldset>
  );
}

function when(modified: string | number): string {
  const date = new Date(typeof modified === "number" ? modified * 1000 : modified);
  if (Number.isNaN(date.getTime())) return "";
  const minutes = (Date.now() - date.getTime()) / 60000;
  if (minutes < 1) return "now";
  if (minutes < 60) return `${Math.round(minutes)} min ago`;
  if (minutes < 48 * 60) return `${Math.round(minutes / 60)} h ago`;
  return date.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
}
