import { useMemo } from "preact/hooks";
import type { Theme } from "../app";
import { align, curve, metricsOf, type Metric, type XAxis } from "../lib/metrics";
import { Plot } from "./plot";
import type { ShownRun } from "./shown_run";

interface Props {
  runs: ShownRun[];
  axis: XAxis;
  theme: Theme;
}

// One plot for each measurement, with a line for each run.
export function Plots({ runs, axis, theme }: Props) {
  const metrics = useMemo(() => metricsOf(runs.map((r) => r.metrics.lines)), [runs]);
  const main = metrics.filter((m) => m.main);
  const others = metrics.filter((m) => !m.main);
  const plot = (metric: Metric) => <MetricPlot key={metric.name} {...{ runs, axis, theme, metric }} />;
  return (
    <>
      <div class="plots">{main.map(plot)}</div>
      {others.length > 0 && (
        <details class="more">
          <summary>More measurements</summary>
          <div class="plots">{others.map(plot)}</div>
        </details>
      )}
    </>
  );
}

function MetricPlot({ runs, axis, theme, metric }: Props & { metric: Metric }) {
  const curves = runs.map((r) => ({ run: r, curve: curve(r.metrics.lines, metric.name, axis) }));
  const filled = curves.filter((c) => c.curve.x.length > 0);
  const latest = filled.map(({ run, curve: c }) => `${run.name} ${formatValue(c.y.at(-1))}`).join(", ");
  return (
    <figure class="plot" aria-label={`${metric.label}, ${metric.unit}. Latest: ${latest}`}>
      <figcaption>
        {metric.label} <span class="faint">{metric.unit}</span>
      </figcaption>
      <Plot
        data={align(filled.map((c) => c.curve))}
        series={filled.map(({ run }) => ({ label: run.name, colour: run.colour }))}
        xLabel={axis}
        theme={theme}
        format={formatValue}
      />
    </figure>
  );
}

export function formatValue(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  const short = (x: number): string => String(Number(x.toPrecision(3)));
  const size = Math.abs(value);
  if (size >= 1e9) return `${short(value / 1e9)}G`;
  if (size >= 1e6) return `${short(value / 1e6)}M`;
  if (size >= 1e4) return `${short(value / 1e3)}k`;
  if (size >= 100 || value === 0) return value.toFixed(0);
  return size >= 1e-4 ? short(value) : value.toExponential(1);
}
