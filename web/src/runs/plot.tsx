// uPlot in a component: made anew when its lines or colours change, given new data otherwise.
import { useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Theme } from "../app";

interface Props {
  data: uPlot.AlignedData;
  series: { label: string; colour: string }[];
  xLabel: string;
  theme: Theme;
  format: (value: number | null | undefined) => string;
}

const height = 190;

export function Plot({ data, series, xLabel, theme, format }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>();
  const shape = JSON.stringify([series, xLabel, theme]);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(options(element, { series, xLabel, format }), data, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [shape]);
  useLayoutEffect(() => plot.current?.setData(data), [data]);
  return <div class="plot-box" ref={box} />;
}

// Under the cursor, or the newest where the cursor is elsewhere.
function legend(format: Props["format"]): uPlot.Series["value"] {
  return (plot, value: number | null, series, index) => {
    if (index !== null && index !== undefined) return format(value);
    const values = plot.data[series] as (number | null)[] | undefined;
    return format(values?.findLast((v) => v !== null));
  };
}

function options(element: HTMLElement, props: Pick<Props, "series" | "xLabel" | "format">): uPlot.Options {
  const style = getComputedStyle(element);
  const variable = (name: string): string => style.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: variable("--faint"),
    font: `11px ${variable("--sans")}`,
    grid: { stroke: variable("--line"), width: 1 },
    ticks: { show: false },
    values: (_plot, splits) => splits.map((v) => props.format(v)),
  };
  return {
    width: element.clientWidth,
    height,
    scales: { x: { time: false } },
    cursor: { sync: { key: "runs" }, points: { size: 7 }, drag: { x: true, y: false } },
    axes: [{ ...axis, size: 28 }, { ...axis, size: 46 }],
    series: [
      { label: props.xLabel, value: legend(props.format) },
      ...props.series.map(({ label, colour }) => ({
        label,
        stroke: variable(colour),
        width: 1.75,
        spanGaps: true,
        points: { show: false },
        value: legend(props.format),
      })),
    ],
  };
}
