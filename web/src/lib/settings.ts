// What the user chose, kept in this browser. An undefined number leaves the choice to the server.
import type { Pricing } from "./api";

export interface Settings {
  model: string;
  system: string; // of new conversations
  temperature?: number;
  topP?: number;
  maxTokens?: number;
  seed?: number;
  thinking: "default" | "on" | "off";
  pricing: Partial<Pricing>;
  theme: "system" | "light" | "dark";
}

export const defaultSettings: Settings = { model: "", system: "", thinking: "default", pricing: {}, theme: "system" };

const settingsKey = "minke.settings";
const apiKeyKey = "minke.key";

export function loadSettings(): Settings {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(settingsKey) ?? "{}");
    return { ...defaultSettings, ...(stored as Partial<Settings>) };
  } catch {
    return defaultSettings;
  }
}

export function saveSettings(settings: Settings): void {
  localStorage.setItem(settingsKey, JSON.stringify(settings));
}

// The key lives as long as the tab.
export const loadApiKey = (): string => sessionStorage.getItem(apiKeyKey) ?? "";
export const saveApiKey = (key: string): void => sessionStorage.setItem(apiKeyKey, key);
