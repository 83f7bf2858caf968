import { useEffect, useLayoutEffect, useReducer } from "preact/hooks";

// Draws the component again when the store changes.
export function useStore<T extends { state: unknown; subscribe(listener: () => void): () => void }>(
  store: T,
): T["state"] {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  useEffect(() => store.subscribe(() => redraw(undefined)), [store]);
  return store.state;
}

// Alt and a letter, by the key's place on the keyboard.
export function useShortcuts(shortcuts: Record<string, () => void>): void {
  useLayoutEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (!event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const action = shortcuts[event.code];
      if (!action) return;
      event.preventDefault();
      action();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
}
