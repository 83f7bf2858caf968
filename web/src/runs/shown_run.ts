import type { RunData } from "../lib/runs_store";

// A run that was chosen to be plotted.
export interface ShownRun extends RunData {
  name: string;
  colour: string; // a CSS variable's name
}
