// The two pages, the theme, and what both share: settings, the key, the models.
import { useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks";
import { ChatPage } from "./chat/chat_page";
import { ApiError, Client, type Model } from "./lib/api";
import { ChatStore } from "./lib/chat_store";
import { loadApiKey, loadSettings, saveApiKey, saveSettings, type Settings } from "./lib/settings";
import { KeyDialog } from "./parts/key_dialog";
import { RunsPage } from "./runs/runs_page";

export type Page = "chat" | "runs";
export type Theme = "light" | "dark";

const pageOfHash = (): Page => (location.hash === "#runs" ? "runs" : "chat");

function usePage(): Page {
  const [page, setPage] = useState(pageOfHash);
  useEffect(() => {
    const onChange = (): void => setPage(pageOfHash());
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, []);
  useEffect(() => {
    document.title = page === "runs" ? "Runs · Minke" : "Minke";
  }, [page]);
  return page;
}

function useSettings(): [Settings, (change: Partial<Settings>) => void] {
  const [settings, setSettings] = useState(loadSettings);
  const change = (part: Partial<Settings>): void => {
    const next = { ...settings, ...part };
    setSettings(next);
    saveSettings(next);
  };
  return [settings, change];
}

// Light or dark, as the user chose or as the system is; base.css has the colours of both.
function useTheme(choice: Settings["theme"]): Theme {
  const query = useMemo(() => matchMedia("(prefers-color-scheme: dark)"), []);
  const [dark, setDark] = useState(query.matches);
  useEffect(() => {
    const onChange = (): void => setDark(query.matches);
    query.addEventListener("change", onChange);
    return () => query.removeEventListener("change", onChange);
  }, [query]);
  const theme = choice === "system" ? (dark ? "dark" : "light") : choice;
  useLayoutEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  return theme;
}

function useModels(client: Client, onUnauthorized: () => void): { models: Model[]; problem: string } {
  const [models, setModels] = useState<Model[]>([]);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    client.models().then(
      (list) => (setModels(list), setProblem("")),
      (error: Error) => {
        if (error instanceof ApiError && error.status === 401) onUnauthorized();
        else setProblem(error.message);
      },
    );
  }, [client]);
  return { models, problem };
}

export function App() {
  const page = usePage();
  const [settings, change] = useSettings();
  const theme = useTheme(settings.theme);
  const [key, setKey] = useState(loadApiKey);
  const [askKey, setAskKey] = useState(false);
  const client = useMemo(() => new Client(key), [key]);
  const store = useMemo(() => new ChatStore(settings.system), []);
  const unauthorized = (): void => setAskKey(true);
  const { models, problem } = useModels(client, unauthorized);
  useEffect(() => void store.load(), [store]);
  store.onUnauthorized = unauthorized;

  const shared = { client, settings, change, onUnauthorized: unauthorized };
  return (
    <>
      {page === "runs" ? (
        <RunsPage {...shared} theme={theme} />
      ) : (
        <ChatPage {...shared} store={store} models={models} problem={problem} />
      )}
      {askKey && (
        <KeyDialog
          wrong={key !== ""}
          onClose={() => setAskKey(false)}
          onKey={(entered) => (saveApiKey(entered), setKey(entered), setAskKey(false))}
        />
      )}
    </>
  );
}
