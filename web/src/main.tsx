import { render } from "preact";
import "katex/dist/katex.min.css";
import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/chat.css";
import "./styles/prose.css";
import "./styles/runs.css";
import { App } from "./app";

const root = document.getElementById("app");
if (root) render(<App />, root);
