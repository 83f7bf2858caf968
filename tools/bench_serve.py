#!/usr/bin/env python3
"""Load on `minke serve`: many streams at once for some time, and what the server says of itself.

    bench_serve.py MINKE MODEL [--streams 256] [--seconds 120] [--tokens 64] [--max-sequences 256]

Prints one JSON object: answers, errors (429 apart), tokens a second, the time to the first token and between two
pieces (which hold several tokens where those come fast) as a client sees them, resident memory in the first and last
quarter of the time, and the share of the process's CPU time that its HTTP threads took. The client runs beside the
server and takes its part of the cores.
"""
import argparse
import asyncio
import json
import re
import subprocess
import time
import urllib.request


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else None


class Load:
    def __init__(self, port, arguments):
        self.port, self.arguments = port, arguments
        self.first, self.gaps, self.answers, self.refused, self.errors, self.tokens, self.pieces = [], [], 0, 0, [], 0, 0
        self.end = time.monotonic() + arguments.seconds

    async def stream(self, number):
        while time.monotonic() < self.end:
            try:
                await self.answer(number)
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                self.errors.append(repr(error))
            number += self.arguments.streams

    async def answer(self, number):
        sampling = {} if self.arguments.temperature is None else {"temperature": self.arguments.temperature}
        body = json.dumps({**sampling, "messages": [{"role": "user", "content": f"{number} ships and whales"}], "stream": True,
                           "stream_options": {"include_usage": True}, "max_tokens": self.arguments.tokens,
                           "seed": number}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        begin = last = time.monotonic()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                     b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        status = int((await reader.readline()).split()[1])
        seen, tokens, is_whole = 0, 0, False
        while line := await reader.readline():
            if line.startswith(b"data: [DONE]"):
                is_whole = True
            elif line.startswith(b"data: ") and b'"content":"' in line:
                now = time.monotonic()
                (self.gaps if seen else self.first).append(now - last)
                last, seen = now, seen + 1
            elif found := re.search(rb'"completion_tokens":(\d+)', line):
                tokens = int(found[1])
        writer.close()
        self.tokens += tokens
        self.pieces += seen
        self.answers += status == 200 and is_whole
        if status == 429:
            self.refused += 1
            await asyncio.sleep(0.2)
        elif status != 200 or not is_whole:
            self.errors.append(f"status {status}, {seen} pieces in {time.monotonic() - begin:.1f} s")

    async def watch(self, samples):
        while time.monotonic() < self.end:
            samples.append(await asyncio.to_thread(metrics, self.port))
            await asyncio.sleep(self.arguments.seconds / 40)

    async def run(self):
        samples = []
        await asyncio.gather(self.watch(samples), *(self.stream(i) for i in range(self.arguments.streams)))
        return samples


def metrics(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? ([-+.e0-9]+)$", text, re.M)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minke")
    parser.add_argument("model")
    for name, value in (("streams", 256), ("seconds", 120), ("tokens", 64), ("max-sequences", 256), ("context", 512), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--temperature", type=float, help="default: the model's own")
    a = parser.parse_args()
    server = subprocess.Popen([a.minke, "--quiet", "--threads", str(a.threads), "serve", a.model, "--port", "0",
                               "--max-sequences", str(a.max_sequences), "--context", str(a.context), "--cache-tokens",
                               str(a.max_sequences * a.context), "--connections", str(a.streams + 64)],
                              stdout=subprocess.PIPE, text=True)
    try:
        load = Load(int(server.stdout.readline()), a)
        begin = time.monotonic()
        samples = asyncio.run(load.run())
        seconds = time.monotonic() - begin
        last = metrics(load.port)
    finally:
        server.terminate()
        server.wait(60)
    quarter = max(1, len(samples) // 4)
    memory = [sample["minke_resident_bytes"] / 1e6 for sample in samples]
    print(json.dumps({
        "streams": a.streams, "seconds": round(seconds, 1), "answers": load.answers, "refused": load.refused,
        "errors": len(load.errors), "first_errors": load.errors[:3], "tokens_per_second": round(load.tokens / seconds, 1),
        "first_token_p50": percentile(load.first, .5), "first_token_p99": percentile(load.first, .99),
        "between_pieces_p50": percentile(load.gaps, .5), "between_pieces_p99": percentile(load.gaps, .99),
        "tokens_per_piece": round(load.tokens / max(1, load.pieces), 2),
        "http_microseconds_per_token": round(1e6 * last["minke_http_cpu_seconds_total"] / max(1, load.tokens), 1),
        "resident_mb_first_quarter": max(memory[:quarter]), "resident_mb_last_quarter": max(memory[-quarter:]),
        "http_share_of_cpu": last["minke_http_cpu_seconds_total"] / last["minke_cpu_seconds_total"]}, indent=1))


if __name__ == "__main__":
    main()
