// How evenly the experts of each layer are used, at one step of a run.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { expertLoads } from "../lib/metrics";
import type { ShownRun } from "./shown_run";

export function HeatMap({ run }: { run: ShownRun }) {
  const loads = expertLoads(run.metrics.lines);
  const [chosen, setChosen] = useState<number>(); // undefined follows the newest
  const [under, setUnder] = useState<{ layer: number; expert: number }>();
  const last = loads.length - 1;
  const index = Math.min(chosen ?? last, last);
  const load = loads[index];
  if (!load) return null;
  const value = under && load.layers[under.layer]?.[under.expert];
  return (
    <figure class="heat">
      <figcaption>
        Expert load <span class="faint">{run.name}, step {load.step}</span>
      </figcaption>
      <Cells layers={load.layers} onUnder={setUnder} />
      <p class="readout">
        {under && value !== undefined
          ? `Layer ${under.layer + 1}, expert ${under.expert + 1}: ${value.toFixed(2)} of an equal share`
          : `Rows are layers, columns experts. Most loaded: ${most(load.layers).toFixed(2)} of an equal share`}
      </p>
      {loads.length > 1 && (
        <input
          type="range"
          aria-label="Step of the expert loads"
          aria-valuetext={`step ${load.step}`}
          min={0}
          max={last}
          value={index}
          onInput={(event) => {
            const at = event.currentTarget.valueAsNumber;
            setChosen(at === last ? undefined : at);
          }}
        />
      )}
    </figure>
  );
}

const most = (layers: number[][]): number => Math.max(0, ...layers.flat());

interface CellsProps {
  layers: number[][];
  onUnder: (cell: { layer: number; expert: number } | undefined) => void;
}

function Cells({ layers, onUnder }: CellsProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const columns = Math.max(...layers.map((layer) => layer.length));
  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || !canvas.current) return;
    context.clearRect(0, 0, columns, layers.length);
    // The accent colour, denser with the load: an equal share is half of it, twice that share all.
    context.fillStyle = getComputedStyle(canvas.current).getPropertyValue("--accent");
    layers.forEach((layer, row) =>
      layer.forEach((value, column) => {
        context.globalAlpha = Math.min(1, value / 2);
        context.fillRect(column, row, 1, 1);
      }),
    );
  });
  const find = (event: PointerEvent): void => {
    const area = canvas.current?.getBoundingClientRect();
    if (!area) return;
    const expert = Math.floor(((event.clientX - area.left) / area.width) * columns);
    const layer = Math.floor(((event.clientY - area.top) / area.height) * layers.length);
    onUnder({ layer, expert });
  };
  return (
    <canvas
      ref={canvas}
      width={columns}
      height={layers.length}
      style={{ height: `${Math.min(320, layers.length * Math.max(8, 26 - layers.length))}px` }}
      role="img"
      aria-label={`Load of ${columns} experts in ${layers.length} layers`}
      onPointerMove={find}
      onPointerLeave={() => onUnder(undefined)}
    />
  );
}
