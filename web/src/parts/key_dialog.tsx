import { useState } from "preact/hooks";
import { Dialog } from "./dialog";

interface Props {
  wrong: boolean; // a key was given, and the server refused it
  onKey: (key: string) => void;
  onClose: () => void;
}

export function KeyDialog({ wrong, onKey, onClose }: Props) {
  const [key, setKey] = useState("");
  return (
    <Dialog title="API key" onClose={onClose}>
      <form onSubmit={(event) => (event.preventDefault(), key.trim() && onKey(key.trim()))}>
        <p>{wrong ? "The server refused the key." : "This server wants a key."} It stays in this tab.</p>
        <label class="field">
          <span>Key</span>
          <input
            type="password"
            autocomplete="current-password"
            autofocus
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </label>
        <button class="primary" type="submit">Use this key</button>
      </form>
    </Dialog>
  );
}
