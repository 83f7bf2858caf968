import type { Pricing } from "../lib/api";
import { freeOfCharge } from "../lib/cost";
import type { Settings } from "../lib/settings";
import { Dialog } from "../parts/dialog";
import { NumberField } from "../parts/number_field";

interface Props {
  settings: Settings;
  change: (part: Partial<Settings>) => void;
  serverPricing?: Partial<Pricing>;
  system: string;
  onSystem: (system: string) => void;
  onClose: () => void;
}

export function SettingsDialog({ settings, change, serverPricing, system, onSystem, onClose }: Props) {
  return (
    <Dialog title="Settings" side onClose={onClose}>
      <label class="field">
        <span>System prompt</span>
        <textarea rows={4} value={system} onInput={(event) => onSystem(event.currentTarget.value)} />
      </label>
      <label class="field">
        <span>Thinking</span>
        <select
          value={settings.thinking}
          onChange={(event) => change({ thinking: event.currentTarget.value as Settings["thinking"] })}
        >
          <option value="default">as the model does</option>
          <option value="on">on</option>
          <option value="off">off</option>
        </select>
      </label>
      <h3>Sampling</h3>
      <p class="faint">An empty field leaves the choice to the server.</p>
      <Sampling settings={settings} change={change} />
      <h3>Price per million tokens</h3>
      <Prices settings={settings} change={change} server={serverPricing} />
      <h3>Keys</h3>
      <Shortcuts />
    </Dialog>
  );
}

function Sampling({ settings, change }: Pick<Props, "settings" | "change">) {
  return (
    <div class="field-grid">
      <NumberField label="Temperature" min={0} max={2} step={0.05} value={settings.temperature}
        onValue={(temperature) => change({ temperature })} />
      <NumberField label="Top p" min={0} max={1} step={0.01} value={settings.topP}
        onValue={(topP) => change({ topP })} />
      <NumberField label="Token limit" min={1} step={1} value={settings.maxTokens}
        onValue={(maxTokens) => change({ maxTokens })} />
      <NumberField label="Seed" min={0} step={1} value={settings.seed} onValue={(seed) => change({ seed })} />
    </div>
  );
}

function Prices({ settings, change, server }: Pick<Props, "settings" | "change"> & { server?: Partial<Pricing> }) {
  const { pricing } = settings;
  const set = (part: Partial<Pricing>): void => change({ pricing: { ...pricing, ...part } });
  const price = (name: "input" | "cached_input" | "output", label: string) => (
    <NumberField label={label} min={0} step={0.01} value={pricing[name]}
      placeholder={String(server?.[name] ?? freeOfCharge[name])} onValue={(value) => set({ [name]: value })} />
  );
  return (
    <div class="field-grid">
      {price("input", "Input")}
      {price("cached_input", "Cached input")}
      {price("output", "Output")}
      <label class="field">
        <span>Currency</span>
        <input value={pricing.currency ?? ""} placeholder={server?.currency ?? freeOfCharge.currency} maxLength={8}
          onInput={(event) => set({ currency: event.currentTarget.value || undefined })} />
      </label>
    </div>
  );
}

function Shortcuts() {
  const keys = [
    ["Alt+N", "new conversation"],
    ["Alt+C", "list of conversations on a narrow screen"],
    ["Alt+S", "settings"],
    ["Alt+R", "runs"],
    ["Enter", "send"],
    ["Shift+Enter", "new line"],
    ["Escape", "stop the answer, close this"],
  ];
  return (
    <dl class="shortcuts">
      {keys.map(([key, action]) => (
        <div key={key}>
          <dt><kbd>{key}</kbd></dt>
          <dd>{action}</dd>
        </div>
      ))}
    </dl>
  );
}
