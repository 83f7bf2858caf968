// minke serve as a child process.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

// Resolves to the server's address and a function that ends it.
export async function startServer(minke, args) {
  const child = spawn(minke, ["--threads", "1", "serve", ...args, "--port", "0"], { stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr.on("data", (data) => (errors += data));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const port = await new Promise((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve);
    ended.then(() => reject(new Error(`minke serve ended:\n${errors}`)));
  });
  const stop = async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 10000);
    await ended;
    clearTimeout(timer);
  };
  return { address: `http://127.0.0.1:${port}/`, stop };
}
