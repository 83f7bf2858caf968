// The training runs that the server shows: the list, and for chosen ones their lines, read as they are written.
import { ApiError, type Client } from "./api";
import { addLines, noLines, type RunLines } from "./metrics";

export interface Run {
  name: string;
  modified: string | number; // a date, or seconds since 1970
  stages?: string[]; // runs within this one, which then has no curves of its own
}

// The runs that have curves: a run of several stages gives one for each of them.
export function listed(runs: Run[]): Run[] {
  return runs.flatMap(({ name, modified, stages = [] }) =>
    stages.length === 0 ? [{ name, modified }] : stages.map((stage) => ({ name: `${name}/${stage}`, modified })),
  );
}

export type Ledger = Record<string, unknown>;

export interface RunData {
  metrics: RunLines;
  samples: { next: number; lines: Record<string, unknown>[] };
  ledger: Ledger | null; // null until the run has written it
}

export interface RunsState {
  runs: Run[];
  loaded: boolean;
  chosen: string[]; // names, in the order in which they were chosen
  data: Record<string, RunData>;
  problem: string;
}

const maxSamples = 200; // the newest that are kept to show
const empty: RunData = { metrics: noLines, samples: { next: 0, lines: [] }, ledger: null };

function addSamples(known: RunData["samples"], received: { lines: unknown[]; next: number }): RunData["samples"] {
  if (received.next < known.next) return empty.samples; // the file is shorter than what was read: read it again
  return { next: received.next, lines: [...known.lines, ...(received.lines as Ledger[])].slice(-maxSamples) };
}

export class RunsStore {
  state: RunsState = { runs: [], loaded: false, chosen: [], data: {}, problem: "" };
  onUnauthorized: () => void = () => undefined;
  private listeners = new Set<() => void>();

  constructor(private readonly client: Client) {}

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private set(change: Partial<RunsState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }

  toggle(name: string): void {
    const { chosen } = this.state;
    this.set({ chosen: chosen.includes(name) ? chosen.filter((n) => n !== name) : [...chosen, name] });
  }

  // Reads until the signal is aborted, with a pause after each round.
  async follow(signal: AbortSignal, pauseMs = 2000): Promise<void> {
    while (!signal.aborted) {
      if (!document.hidden) await this.round(signal);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  async round(signal: AbortSignal): Promise<void> {
    try {
      const runs = listed((await this.client.get<{ runs: Run[] }>("/api/runs", signal)).runs);
      if (!this.state.loaded && runs[0]) this.set({ chosen: [runs[0].name] });
      this.set({ runs, loaded: true, problem: "" });
      for (const name of this.state.chosen) await this.readRun(name, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status === 401) this.onUnauthorized();
      this.set({ loaded: true, problem: (error as Error).message });
    }
  }

  private async readRun(name: string, signal: AbortSignal): Promise<void> {
    const known = this.state.data[name] ?? empty;
    const metrics = await this.read(name, "metrics", known.metrics.next, signal);
    const samples = await this.read(name, "samples", known.samples.next, signal);
    const moved = metrics.next !== known.metrics.next || samples.next !== known.samples.next;
    if (!moved && this.state.data[name]) return;
    const data: RunData = {
      metrics: addLines(known.metrics, metrics.lines, metrics.next),
      samples: addSamples(known.samples, samples),
      ledger: await this.client.get<Ledger | null>(`${this.path(name)}/ledger`, signal),
    };
    this.set({ data: { ...this.state.data, [name]: data } });
  }

  private path = (name: string): string => `/api/runs/${encodeURIComponent(name)}`;

  private read(name: string, what: string, after: number, signal: AbortSignal) {
    return this.client.get<{ lines: unknown[]; next: number }>(`${this.path(name)}/${what}?after=${after}`, signal);
  }
}
