import type { ComponentChildren } from "preact";
import type { Page } from "../app";
import type { Settings } from "../lib/settings";
import { IconButton } from "./icon_button";
import { Whale } from "./icons";

const themes = { system: "auto", light: "sun", dark: "moon" } as const;
const nextTheme = { system: "light", light: "dark", dark: "system" } as const;

interface Props {
  page: Page;
  settings: Settings;
  change: (part: Partial<Settings>) => void;
  onMenu?: () => void;
  children?: ComponentChildren;
}

export function TopBar({ page, settings, change, onMenu, children }: Props) {
  const link = (to: Page, text: string) => (
    <a href={`#${to}`} aria-current={page === to ? "page" : undefined}>
      {text}
    </a>
  );
  return (
    <header class="top-bar">
      {onMenu && <IconButton icon="menu" label="Conversations" class="narrow-only" onClick={onMenu} />}
      <div class="brand">
        <Whale />
        <span>Minke</span>
      </div>
      <nav aria-label="Pages">
        {link("chat", "Chat")}
        {link("runs", "Runs")}
      </nav>
      <div class="top-tools">
        {children}
        <IconButton
          icon={themes[settings.theme]}
          label={`Colours: ${settings.theme}. Change to ${nextTheme[settings.theme]}`}
          onClick={() => change({ theme: nextTheme[settings.theme] })}
        />
      </div>
    </header>
  );
}
