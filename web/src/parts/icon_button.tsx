import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./icons";

interface Props {
  icon: IconName;
  label: string; // what it does, for screen readers and as a tip
  onClick: () => void;
  shortcut?: string; // as aria-keyshortcuts writes it
  class?: string;
  disabled?: boolean;
  children?: ComponentChildren;
}

export function IconButton({ icon, label, onClick, shortcut, children, disabled, ...rest }: Props) {
  const tip = shortcut ? `${label} (${shortcut})` : label;
  return (
    <button
      type="button"
      class={`icon-button ${rest.class ?? ""}`}
      aria-label={label}
      aria-keyshortcuts={shortcut}
      title={tip}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
      {children}
    </button>
  );
}
