// The lines of runs' metrics.jsonl as curves.

export type Line = Record<string, unknown> & { step: number };
export type XAxis = "step" | "tokens";

export interface Curve {
  x: number[];
  y: number[];
}

// The lines of one run, as far as they have been read.
export interface RunLines {
  next: number; // the byte to read on from
  lines: Line[];
}

export const noLines: RunLines = { next: 0, lines: [] };

export function isLine(value: unknown): value is Line {
  return typeof (value as Line | null)?.step === "number";
}

// Adds what the server sent. A resumed run has cut its file and writes some steps again: the new ones count.
export function addLines(known: RunLines, received: unknown[], next: number): RunLines {
  if (next < known.next) return noLines; // the file is shorter than what was read: read it again
  if (received.length === 0) return { ...known, next };
  const lines = received.filter(isLine);
  const first = lines[0]?.step ?? Infinity;
  const kept = known.lines.filter((line) => line.step <= first);
  return { next, lines: [...kept, ...lines] };
}

// A line's numbers by name; the numbers of a short list get an index.
export function numbersOf(line: Line): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const [name, value] of Object.entries(line)) {
    if (name === "step" || name === "tokens") continue;
    if (typeof value === "number") numbers.set(name, value);
    if (Array.isArray(value) && value.length <= 4)
      value.forEach((v, i) => typeof v === "number" && numbers.set(`${name} ${i + 1}`, v));
  }
  return numbers;
}

// Validation's figure stands in every line until the next validation; only its first line is a measurement.
const repeated = new Set(["bits_per_byte"]);

export function curve(lines: Line[], name: string, axis: XAxis): Curve {
  const result: Curve = { x: [], y: [] };
  for (const line of lines) {
    const y = numbersOf(line).get(name);
    const x = line[axis];
    if (y === undefined || typeof x !== "number" || !Number.isFinite(y)) continue;
    if (repeated.has(name) && result.y.at(-1) === y) continue;
    if (result.x.at(-1) === x) result.y[result.y.length - 1] = y;
    else {
      result.x.push(x);
      result.y.push(y);
    }
  }
  return result;
}

// Curves over one common axis, null where a curve has no point: the form that uPlot takes.
export function align(curves: Curve[]): [number[], ...(number | null)[][]] {
  const xs = [...new Set(curves.flatMap((c) => c.x))].sort((a, b) => a - b);
  const row = new Map(xs.map((x, i) => [x, i]));
  const columns = curves.map((c) => {
    const column = new Array<number | null>(xs.length).fill(null);
    c.x.forEach((x, i) => (column[row.get(x) ?? 0] = c.y[i] ?? null));
    return column;
  });
  return [xs, ...columns];
}

interface Known {
  label: string;
  unit: string;
}

const known: Record<string, Known> = {
  loss: { label: "Loss", unit: "nats per token" },
  bits_per_byte: { label: "Validation", unit: "bits per byte" },
  reward: { label: "Reward", unit: "mean" },
  accuracy: { label: "Accuracy", unit: "held-out problems" },
  length: { label: "Length of answers", unit: "tokens" },
  tokens_per_second: { label: "Speed", unit: "tokens per second" },
  cost: { label: "Cost", unit: "so far" },
};

export interface Metric extends Known {
  name: string;
  main: boolean;
}

// What can be plotted of these runs, in the order in which to show it.
export function metricsOf(runs: Line[][]): Metric[] {
  const names = new Set<string>();
  for (const lines of runs) for (const line of lines) for (const name of numbersOf(line).keys()) names.add(name);
  const main = Object.keys(known).filter((name) => names.has(name));
  const others = [...names].filter((name) => !(name in known)).sort();
  return [...main, ...others].map((name) => ({
    name,
    main: name in known,
    ...(known[name] ?? { label: name.replaceAll("_", " "), unit: "" }),
  }));
}

export interface ExpertLoad {
  step: number;
  layers: number[][]; // by layer and expert, 1 = an equal share
}

// Every measurement of the experts' load.
export function expertLoads(lines: Line[]): ExpertLoad[] {
  return lines.flatMap((line) => {
    const load = line.expert_load;
    if (!Array.isArray(load) || load.length === 0) return [];
    return [{ step: line.step, layers: load.map((layer) => relativeLoad(layer)) }];
  });
}

function relativeLoad(layer: unknown): number[] {
  const counts = Array.isArray(layer) ? layer.map((v) => (typeof v === "number" ? v : 0)) : [];
  const mean = counts.reduce((a, b) => a + b, 0) / counts.length;
  return counts.map((v) => (mean > 0 ? v / mean : 0));
}
